// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's own calls that send signals: attempts that failed, and those with
 * signal 0, which only ask whether somebody is there. What was sent is counted
 * where it is generated.
 */

/* decode.py has the names, in this order. */
enum kill_call {
	CALL_KILL,
	CALL_TKILL,
	CALL_TGKILL,
	CALL_RT_SIGQUEUEINFO,
	CALL_RT_TGSIGQUEUEINFO,
	CALL_PIDFD_SEND_SIGNAL,
	CALL_FT_KILL,
};

struct kill_calls_key {
	u8 call;
	u8 is_probe;	/* signal 0 */
	u16 error;
	u32 sender;
};

BPF_TABLE("percpu_hash", struct kill_calls_key, u64, kill_calls, SIZE_KILL_CALLS);
/* Threads on their way through a call with signal 0; all others keep nothing. */
BPF_HASH(kill_probes, u32, u8, SIZE_KILL_PROBES);

static __always_inline void count_kill_call(u32 call, bool is_probe, long result)
{
	struct kill_calls_key key = {};
	u64 zero = 0;

	/* What was sent is counted where it is generated. */
	if (!result && !is_probe)
		return;
	key.call = call;
	key.is_probe = is_probe;
	key.error = -result;
	key.sender = group_of_current();
	add(kill_calls.lookup_or_try_init(&key, &zero), 1, DROP_KILL_CALLS_FULL);
}

static __always_inline int kill_enter(u32 signal)
{
	u32 tid;
	u8 one = 1;

	if (signal)
		return 0;
	tid = bpf_get_current_pid_tgid();
	if (kill_probes.update(&tid, &one))
		drop(DROP_KILL_PROBES_FULL);
	return 0;
}

static __always_inline int kill_exit(u32 call, long result)
{
	u32 tid = bpf_get_current_pid_tgid();
	bool is_probe = kill_probes.lookup(&tid);

	if (is_probe)
		kill_probes.delete(&tid);
	count_kill_call(call, is_probe, result);
	return 0;
}

int enter_kill(struct tracepoint__syscalls__sys_enter_kill *args)
{
	return kill_enter(args->sig);
}

int exit_kill(struct tracepoint__syscalls__sys_exit_kill *args)
{
	return kill_exit(CALL_KILL, args->ret);
}

int enter_tkill(struct tracepoint__syscalls__sys_enter_tkill *args)
{
	return kill_enter(args->sig);
}

int exit_tkill(struct tracepoint__syscalls__sys_exit_tkill *args)
{
	return kill_exit(CALL_TKILL, args->ret);
}

int enter_tgkill(struct tracepoint__syscalls__sys_enter_tgkill *args)
{
	return kill_enter(args->sig);
}

int exit_tgkill(struct tracepoint__syscalls__sys_exit_tgkill *args)
{
	return kill_exit(CALL_TGKILL, args->ret);
}

int enter_rt_sigqueueinfo(struct tracepoint__syscalls__sys_enter_rt_sigqueueinfo *args)
{
	return kill_enter(args->sig);
}

int exit_rt_sigqueueinfo(struct tracepoint__syscalls__sys_exit_rt_sigqueueinfo *args)
{
	return kill_exit(CALL_RT_SIGQUEUEINFO, args->ret);
}

int enter_rt_tgsigqueueinfo(struct tracepoint__syscalls__sys_enter_rt_tgsigqueueinfo *args)
{
	return kill_enter(args->sig);
}

int exit_rt_tgsigqueueinfo(struct tracepoint__syscalls__sys_exit_rt_tgsigqueueinfo *args)
{
	return kill_exit(CALL_RT_TGSIGQUEUEINFO, args->ret);
}

int enter_pidfd_send_signal(struct tracepoint__syscalls__sys_enter_pidfd_send_signal *args)
{
	return kill_enter(args->sig);
}

int exit_pidfd_send_signal(struct tracepoint__syscalls__sys_exit_pidfd_send_signal *args)
{
	return kill_exit(CALL_PIDFD_SEND_SIGNAL, args->ret);
}
