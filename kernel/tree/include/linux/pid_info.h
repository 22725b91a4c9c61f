/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_PID_INFO_H
#define _LINUX_PID_INFO_H

#include <linux/linkage.h>
#include <uapi/linux/pid_info.h>

/* kernel.ft_calls: 0 once ft_fork(), ft_kill() and ft_wait() are turned off. */
extern int ft_calls;

/* What they answer then. linux/syscalls.h has it on some architectures only. */
asmlinkage long sys_ni_syscall(void);

#endif /* _LINUX_PID_INFO_H */
