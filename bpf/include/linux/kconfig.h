/* SPDX-License-Identifier: GPL-2.0 */
/*
 * bcc includes this first, in place of the running kernel's headers, which a
 * patched kernel rarely ships. What BPF C here needs of a kernel is in this
 * folder; struct offsets come from the kernel's BTF as -D.
 */
#ifndef PIDINFOD_KCONFIG_H
#define PIDINFOD_KCONFIG_H

#define CONFIG_BPF_SYSCALL 1

#endif
