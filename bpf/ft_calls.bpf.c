// SPDX-License-Identifier: GPL-2.0
/*
 * The four system calls of the patched kernel: who called, what came of it and
 * how long it took. Kprobes only here.
 */
#define NR_GET_PID_INFO	548
#define NR_FT_FORK	549
#define NR_FT_KILL	550
#define NR_FT_WAIT	551

struct ft_calls_key {
	u32 syscall;
	s32 result;	/* 0 or -errno */
	s32 signal;	/* of ft_kill */
};

struct ft_call_duration_key {
	u32 syscall;
	u32 slot;
};

struct ft_inflight_val {
	u64 start_ns;
	u32 syscall;
	s32 signal;
};

BPF_TABLE("percpu_hash", struct ft_calls_key, u64, ft_calls, SIZE_FT_CALLS);
BPF_TABLE("percpu_hash", struct ft_call_duration_key, u64, ft_call_duration,
	  SIZE_FT_CALL_DURATION);
BPF_TABLE("percpu_hash", u32, u64, ft_call_duration_ns, 8);
/* One call at a time per thread. */
BPF_HASH(ft_inflight, u64, struct ft_inflight_val, SIZE_FT_INFLIGHT);

static __always_inline int ft_enter(u32 syscall, s32 signal)
{
	u64 id = bpf_get_current_pid_tgid();
	struct ft_inflight_val call = {
		.start_ns = bpf_ktime_get_ns(),
		.syscall = syscall,
		.signal = signal,
	};

	/*
	 * The kernel tracks a limited number of calls on their way at once; a
	 * call beyond that returns unseen and leaves its entry here.
	 */
	if (ft_inflight.lookup(&id))
		drop(DROP_FT_RETURN_MISSED);
	if (ft_inflight.update(&id, &call))
		drop(DROP_FT_INFLIGHT_FULL);
	return 0;
}

/* A thread ends outside of any call, so what is left of it went unseen. */
static __always_inline void ft_forget(u64 id)
{
	if (!ft_inflight.lookup(&id))
		return;
	ft_inflight.delete(&id);
	drop(DROP_FT_RETURN_MISSED);
}

static __always_inline bool ft_is_forking(void)
{
	u64 id = bpf_get_current_pid_tgid();
	struct ft_inflight_val *call = ft_inflight.lookup(&id);

	return call && call->syscall == NR_FT_FORK;
}

int enter_get_pid_info(struct pt_regs *ctx)
{
	return ft_enter(NR_GET_PID_INFO, 0);
}

int enter_ft_fork(struct pt_regs *ctx)
{
	return ft_enter(NR_FT_FORK, 0);
}

int enter_ft_kill(struct pt_regs *ctx)
{
	/* The entry point's one argument: the registers of the caller. */
	struct pt_regs *user = (struct pt_regs *)PT_REGS_PARM1(ctx);
	unsigned long signal = 0;

	bpf_probe_read_kernel(&signal, sizeof(signal), &PT_REGS_PARM2(user));
	return ft_enter(NR_FT_KILL, signal);
}

int enter_ft_wait(struct pt_regs *ctx)
{
	return ft_enter(NR_FT_WAIT, 0);
}

int exit_ft_call(struct pt_regs *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	struct ft_inflight_val *call = ft_inflight.lookup(&id);
	struct ft_call_duration_key duration = {};
	struct ft_calls_key key = {};
	long result = PT_REGS_RC(ctx);
	u64 zero = 0, ns;

	if (!call)
		return 0;
	see(SEEN_FT_CALL);
	ns = bpf_ktime_get_ns() - call->start_ns;
	key.syscall = call->syscall;
	key.signal = call->signal;
	key.result = result < 0 ? result : 0;
	ft_inflight.delete(&id);

	if (key.syscall == NR_FT_KILL)
		count_kill_call(CALL_FT_KILL, !key.signal, key.result);
	add(ft_calls.lookup_or_try_init(&key, &zero), 1, DROP_FT_CALLS_FULL);
	duration.syscall = key.syscall;
	duration.slot = slot_of(ns);
	add(ft_call_duration.lookup_or_try_init(&duration, &zero), 1,
	    DROP_FT_CALL_DURATION_FULL);
	add(ft_call_duration_ns.lookup_or_try_init(&key.syscall, &zero), ns,
	    DROP_FT_CALL_DURATION_FULL);
	return 0;
}
