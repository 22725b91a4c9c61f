/* SPDX-License-Identifier: GPL-2.0 */
/* The registers that a kprobe sees; the order is the kernel's ABI towards BPF. */
#ifndef PIDINFOD_PTRACE_H
#define PIDINFOD_PTRACE_H

#if defined(__TARGET_ARCH_x86) || defined(__x86_64__)
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx;
	unsigned long r11, r10, r9, r8, ax, cx, dx, si, di;
	unsigned long orig_ax, ip, cs, flags, sp, ss;
};
#else
struct pt_regs {
	unsigned long regs[31];
	unsigned long sp, pc, pstate;
};
#endif

#endif
