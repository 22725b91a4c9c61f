/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PIDINFOD_UAPI_LINUX_IF_PACKET_H
#define PIDINFOD_UAPI_LINUX_IF_PACKET_H

#include <linux/types.h>

#endif
