/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PIDINFOD_LINUX_VERSION_H
#define PIDINFOD_LINUX_VERSION_H

/* Kernels since 5.0 do not compare it; bcc puts it into every program. */
#define LINUX_VERSION_CODE 0
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))

#endif
