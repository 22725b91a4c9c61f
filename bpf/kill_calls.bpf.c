// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's own calls that send signals: attempts that failed, and those with
 * signal 0, which only ask whether somebody is there. What was sent is counted where it
 * is generated.
 *
 * Where the kernel has kprobes, they are on the six calls, and no other call is slowed.
 * Elsewhere one raw tracepoint at the exit of all calls has to do: it needs no memory,
 * as the registers still hold the arguments there.
 */
struct kill_inflight {
	u32 call;
	s32 signal;
};

/* Threads on their way through a call, by thread. Only kprobes need it. */
BPF_HASH(kill_inflight, u32, struct kill_inflight, SIZE_KILL_INFLIGHT);

static __always_inline void count_kill_call(u32 call, s32 signal, long result)
{
	struct liveness_probes_key probe = { .call = call, .result = -result };
	struct kill_failures_key failure = { .call = call, .errno = -result };
	u32 sender;

	if (signal && result >= 0)
		return;
	sender = group_of_current();
	if (signal) {
		failure.sender = sender;
		count_kill_failures(&failure, 1);
	} else {
		probe.sender = sender;
		count_liveness_probes(&probe, 1);
	}
}

#ifdef WITH_KILL_KPROBES
static __always_inline int kill_enter(u32 call, s32 signal)
{
	struct kill_inflight now = { .call = call, .signal = signal };
	u32 tid = bpf_get_current_pid_tgid();

	/* The kernel tracks a limited number of returns at once; one beyond that is missed. */
	if (kill_inflight.lookup(&tid))
		degrade(DEGRADED_KILL_CALLS);
	if (kill_inflight.update(&tid, &now))
		degrade(DEGRADED_KILL_CALLS);
	return 0;
}

int exit_kill_call(struct pt_regs *ctx)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct kill_inflight *found = kill_inflight.lookup(&tid), call;

	if (!found)
		return 0;
	call = *found;
	kill_inflight.delete(&tid);
	count_kill_call(call.call, call.signal, (int)PT_REGS_RC(ctx));
	return 0;
}

/* A thread ends outside of any call, so what is left of it went unseen. */
static __always_inline void kill_forget(u32 tid)
{
	if (!kill_inflight.lookup(&tid))
		return;
	kill_inflight.delete(&tid);
	degrade(DEGRADED_KILL_CALLS);
}
#else
static __always_inline void kill_forget(u32 tid)
{
}
#endif

/* A call's arguments two and three, as user space passed them. */
struct user_call {
	s32 second;
	s32 third;
	bool is_32bit;
};

#if defined(__x86_64__) || defined(__TARGET_ARCH_x86)
#define X32_BIT		0x40000000
#define TS_COMPAT	0x0002	/* arch/x86/include/asm/thread_info.h */

/* Of the registers all that is needed, and the number of the call. */
static __always_inline long read_registers(struct pt_regs *regs, struct pt_regs *user)
{
	bpf_probe_read_kernel(&user->cx, (void *)&regs->ip - (void *)&regs->cx, &regs->cx);
	return user->orig_ax & ~X32_BIT;
}

static __always_inline void read_call(struct pt_regs *user, struct user_call *call)
{
	u32 status = 0;

	READ_MEMBER(status, bpf_get_current_task(), OFF_THREAD_INFO_STATUS);
	call->is_32bit = status & TS_COMPAT;
	call->second = call->is_32bit ? user->cx : user->si;
	call->third = user->dx;
}
#else
#define THREAD_INFO_32BIT	BIT(22)	/* arch/arm64/include/asm/thread_info.h: TIF_32BIT */

/* Of the registers all that is needed, and the number of the call. */
static __always_inline long read_registers(struct pt_regs *regs, struct pt_regs *user)
{
	int number = 0;

	READ_MEMBER(number, regs, OFF_PT_REGS_SYSCALLNO);
	bpf_probe_read_kernel(&user->regs[1], 2 * sizeof(user->regs[1]), &regs->regs[1]);
	return number;
}

static __always_inline void read_call(struct pt_regs *user, struct user_call *call)
{
	u64 flags = 0;

	READ_MEMBER(flags, bpf_get_current_task(), OFF_THREAD_INFO_FLAGS);
	call->is_32bit = flags & THREAD_INFO_32BIT;
	call->second = user->regs[1];
	call->third = user->regs[2];
}
#endif
