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
};

struct kill_calls_key {
	u8 call;
	u8 is_probe;	/* signal 0 */
	u16 error;
	u32 sender;
};

struct kill_attempt {
	u32 call;
	u32 signal;
};

BPF_TABLE("percpu_hash", struct kill_calls_key, u64, kill_calls, SIZE_KILL_CALLS);
/* One call at a time per thread; a thread that is killed leaves its entry. */
BPF_TABLE("lru_hash", u32, struct kill_attempt, kill_attempts, SIZE_KILL_ATTEMPTS);

static __always_inline int kill_enter(u32 call, u32 signal)
{
	struct kill_attempt attempt = { .call = call, .signal = signal };
	u32 tid = bpf_get_current_pid_tgid();

	if (kill_attempts.update(&tid, &attempt))
		drop(DROP_KILL_ATTEMPTS_FULL);
	return 0;
}

static __always_inline int kill_exit(long result)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct kill_attempt *attempt = kill_attempts.lookup(&tid);
	struct kill_calls_key key = {};
	u64 zero = 0;

	if (!attempt)
		return 0;
	key.call = attempt->call;
	key.is_probe = !attempt->signal;
	kill_attempts.delete(&tid);
	if (!result && !key.is_probe)
		return 0;
	key.error = -result;
	key.sender = group_of_current();
	add(kill_calls.lookup_or_try_init(&key, &zero), 1, DROP_KILL_CALLS_FULL);
	return 0;
}

int enter_kill(struct tracepoint__syscalls__sys_enter_kill *args)
{
	return kill_enter(CALL_KILL, args->sig);
}

int exit_kill(struct tracepoint__syscalls__sys_exit_kill *args)
{
	return kill_exit(args->ret);
}

int enter_tkill(struct tracepoint__syscalls__sys_enter_tkill *args)
{
	return kill_enter(CALL_TKILL, args->sig);
}

int exit_tkill(struct tracepoint__syscalls__sys_exit_tkill *args)
{
	return kill_exit(args->ret);
}

int enter_tgkill(struct tracepoint__syscalls__sys_enter_tgkill *args)
{
	return kill_enter(CALL_TGKILL, args->sig);
}

int exit_tgkill(struct tracepoint__syscalls__sys_exit_tgkill *args)
{
	return kill_exit(args->ret);
}

int enter_rt_sigqueueinfo(struct tracepoint__syscalls__sys_enter_rt_sigqueueinfo *args)
{
	return kill_enter(CALL_RT_SIGQUEUEINFO, args->sig);
}

int exit_rt_sigqueueinfo(struct tracepoint__syscalls__sys_exit_rt_sigqueueinfo *args)
{
	return kill_exit(args->ret);
}

int enter_rt_tgsigqueueinfo(struct tracepoint__syscalls__sys_enter_rt_tgsigqueueinfo *args)
{
	return kill_enter(CALL_RT_TGSIGQUEUEINFO, args->sig);
}

int exit_rt_tgsigqueueinfo(struct tracepoint__syscalls__sys_exit_rt_tgsigqueueinfo *args)
{
	return kill_exit(args->ret);
}

int enter_pidfd_send_signal(struct tracepoint__syscalls__sys_enter_pidfd_send_signal *args)
{
	return kill_enter(CALL_PIDFD_SEND_SIGNAL, args->sig);
}

int exit_pidfd_send_signal(struct tracepoint__syscalls__sys_exit_pidfd_send_signal *args)
{
	return kill_exit(args->ret);
}
