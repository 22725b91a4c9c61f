// SPDX-License-Identifier: GPL-2.0
/*
 * The four system calls of the patched kernel: who called, what came of it and how long
 * it took.
 */
struct ft_inflight {
	u64 start_ns;
	u32 call;
	s32 signal;
};

/* One call at a time per thread. */
BPF_HASH(ft_inflight, u64, struct ft_inflight, SIZE_FT_INFLIGHT);

#ifdef WITH_FT_CALLS
static __always_inline int ft_enter(u32 call, s32 signal)
{
	u64 id = bpf_get_current_pid_tgid();
	struct ft_inflight now = {
		.start_ns = bpf_ktime_get_ns(),
		.call = call,
		.signal = signal,
	};

	see(SEEN_FT_CALL);
	/* The kernel tracks a limited number of returns at once; one beyond that is missed. */
	if (ft_inflight.lookup(&id))
		drop(DROP_FT_CALL_RETURN_MISSED);
	if (ft_inflight.update(&id, &now))
		drop(DROP_FT_CALL_INFLIGHT_FULL);
	return 0;
}

/* A thread ends outside of any call, so what is left of it went unseen. */
static __always_inline void ft_forget(u64 id)
{
	if (!ft_inflight.lookup(&id))
		return;
	ft_inflight.delete(&id);
	drop(DROP_FT_CALL_RETURN_MISSED);
}

static __always_inline bool ft_is_forking(void)
{
	u64 id = bpf_get_current_pid_tgid();
	struct ft_inflight *now = ft_inflight.lookup(&id);

	return now && now->call == FT_FT_FORK;
}

int exit_ft_call(struct pt_regs *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	struct ft_inflight *found = ft_inflight.lookup(&id), call;
	struct ft_call_duration_seconds_key duration = {};
	struct ft_kill_signals_key asked = {};
	struct ft_calls_key key = {};
	long result = PT_REGS_RC(ctx);
	u32 error = 0;

	if (!found)
		return 0;
	call = *found;
	ft_inflight.delete(&id);
	if (result < 0)
		error = -result;
	key.syscall = call.call;
	key.result = error;
	count_ft_calls(&key, 1);
	duration.syscall = call.call;
	observe_ft_call_duration_seconds(&duration, bpf_ktime_get_ns() - call.start_ns);
	if (call.call != FT_FT_KILL)
		return 0;
	count_kill_call(CALL_FT_KILL, call.signal, -(long)error);
	asked.signal = call.signal >= 0 && call.signal <= 64 ? call.signal : INVALID_SIGNAL;
	asked.result = error;
	count_ft_kill_signals(&asked, 1);
	return 0;
}
#else
static __always_inline void ft_forget(u64 id)
{
}

static __always_inline bool ft_is_forking(void)
{
	return false;
}
#endif
