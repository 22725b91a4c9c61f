/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PIDINFOD_LINUX_LOG2_H
#define PIDINFOD_LINUX_LOG2_H

#include <linux/types.h>

#endif
