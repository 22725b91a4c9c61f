/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PIDINFOD_UAPI_LINUX_BPF_H
#define PIDINFOD_UAPI_LINUX_BPF_H

#include <linux/types.h>

#endif
