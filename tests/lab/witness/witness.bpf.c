// SPDX-License-Identifier: GPL-2.0
/*
 * Every fork, kill and wait of the machine, at the entry of the system call: by an ft_* call, by
 * the native call where ft_* would have done the same, or by the native call for a reason. It
 * judges the arguments and knows nothing of libftcalls.
 */
#include <linux/ptrace.h>

/* include/uapi/linux/sched.h, wait.h, auxvec.h, asm-generic/signal.h */
#define CSIGNAL			0x000000ff
#define CLONE_VM		0x00000100
#define CLONE_VFORK		0x00004000
#define CLONE_THREAD		0x00010000
#define CLONE_PARENT_SETTID	0x00100000
#define CLONE_CHILD_CLEARTID	0x00200000
#define CLONE_CHILD_SETTID	0x01000000
#define SIGCHLD			17
#define WNOHANG			1
#define AT_BASE			7

/* The kernel puts AT_BASE ninth, behind what the architecture has. */
#define AUXV_PAIRS		16

struct call {
	char name[8];
	char way[12];
	u32 is_static;
	char comm[16];
};

BPF_HASH(calls, struct call, u64, 16384);

/* Where the caller's program interpreter, ld.so, was mapped: nowhere if it is static. */
static __always_inline bool is_static(void)
{
	struct {
		unsigned long type, value;
	} pair = {};
	void *mm = NULL;
	int i;

	bpf_probe_read_kernel(&mm, sizeof(mm),
			      (void *)bpf_get_current_task() + OFF_TASK_MM);
	for (i = 0; i < AUXV_PAIRS; i++) {
		bpf_probe_read_kernel(&pair, sizeof(pair), mm +
				      OFF_MM_SAVED_AUXV + i * sizeof(pair));
		if (pair.type == AT_BASE)
			return !pair.value;
	}
	return false;
}

static __always_inline int count(struct call *call)
{
	u64 zero = 0, *value;

	call->is_static = is_static();
	bpf_get_current_comm(call->comm, sizeof(call->comm));
	value = calls.lookup_or_try_init(call, &zero);
	if (value)
		__sync_fetch_and_add(value, 1);
	return 0;
}

/* What a process of user space has in its registers. */
static __always_inline struct pt_regs arguments(struct pt_regs *ctx)
{
	struct pt_regs user = {};

	bpf_probe_read_kernel(&user, sizeof(user), (void *)ctx->di);
	return user;
}

#define COUNT(name, way) count(&(struct call){ name, way })

/* Calls whose arguments have nothing to say. */
#define ENTRY(name, way)					\
	int enter_##name(struct pt_regs *ctx)			\
	{							\
		return COUNT(#name, way);			\
	}
ENTRY(ft_fork, "ft")
ENTRY(ft_kill, "ft")
ENTRY(ft_wait, "ft")
ENTRY(fork, "native")
ENTRY(kill, "native")
ENTRY(vfork, "spawn")
ENTRY(waitid, "waitid")

int enter_clone(struct pt_regs *ctx)
{
	const u64 tids = CLONE_PARENT_SETTID | CLONE_CHILD_SETTID |
			 CLONE_CHILD_CLEARTID;
	struct pt_regs user = arguments(ctx);
	u64 flags = user.di, stack = user.si;

	if (flags & CLONE_THREAD)
		return COUNT("clone", "thread");
	if ((flags & ~tids) == SIGCHLD && !stack)
		return COUNT("clone", "native");
	if (flags & CLONE_VFORK)
		return COUNT("clone", "spawn");
	return COUNT("clone", "flags");
}

int enter_clone3(struct pt_regs *ctx)
{
	struct pt_regs user = arguments(ctx);
	u64 flags = 0;

	bpf_probe_read_user(&flags, sizeof(flags), (void *)user.di);
	if (flags & CLONE_THREAD)
		return COUNT("clone3", "thread");
	if (flags & CLONE_VFORK)
		return COUNT("clone3", "spawn");
	return COUNT("clone3", "clone3");
}

int enter_wait4(struct pt_regs *ctx)
{
	struct pt_regs user = arguments(ctx);
	s32 pid = user.di, options = user.dx;

	if (pid > 0)
		return COUNT("wait4", "pid");
	if (pid != -1)
		return COUNT("wait4", "group");
	if (options & WNOHANG)
		return COUNT("wait4", "nohang");
	if (options)
		return COUNT("wait4", "options");
	if (user.r10)
		return COUNT("wait4", "rusage");
	return COUNT("wait4", "native");
}

/* By the entry of 32-bit programs, whatever the arguments. */
#define ENTRY_32(name)						\
	int enter_32_##name(struct pt_regs *ctx)		\
	{							\
		return COUNT(#name, "32-bit");			\
	}
ENTRY_32(clone)
ENTRY_32(clone3)
ENTRY_32(kill)
ENTRY_32(waitpid)
ENTRY_32(wait4)
ENTRY_32(waitid)
