/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PIDINFOD_LINUX_BPF_H
#define PIDINFOD_LINUX_BPF_H

#include <linux/types.h>

#endif
