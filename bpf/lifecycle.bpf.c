// SPDX-License-Identifier: GPL-2.0
/* Forks, execs and exits. */
#define CLONE_VFORK	0x00004000
#define CLONE_THREAD	0x00010000

#define SIGNAL_GROUP_EXIT	0x00000004

/* decode.py has the names, in this order. */
enum fork_kind { KIND_PROCESS, KIND_THREAD, KIND_VFORK };
enum fork_via { VIA_NATIVE, VIA_FT_FORK };
enum exit_reason { REASON_EXITED, REASON_SIGNALED, REASON_OOM };

struct forks_key {
	u8 kind;
	u8 via;
	u16 pad;
	u32 group;	/* of the parent */
};

struct exits_key {
	u32 group;
	u8 reason;
	u8 pad;
	u16 status;	/* exit code, or signal */
};

struct process_id {
	u64 start_ns;
	u32 tgid;
	u32 pad;
};

BPF_TABLE("percpu_hash", struct forks_key, u64, forks, SIZE_FORKS);
BPF_TABLE("percpu_hash", u32, u64, execs, SIZE_EXECS);
BPF_TABLE("percpu_hash", struct exits_key, u64, exits, SIZE_EXITS);
/* Processes that were counted as dead not long ago. */
BPF_TABLE("lru_hash", struct process_id, u8, ended, SIZE_ENDED);

int task_newtask(struct tracepoint__task__task_newtask *args)
{
	u64 id = bpf_get_current_pid_tgid();
	struct membership child = membership_of_current();
	struct forks_key key = { .group = child.group };
	u64 zero = 0;

	see(SEEN_FORK);
	if (args->clone_flags & CLONE_THREAD)
		key.kind = KIND_THREAD;
	else if (args->clone_flags & CLONE_VFORK)
		key.kind = KIND_VFORK;
	key.via = ft_is_forking() ? VIA_FT_FORK : VIA_NATIVE;
	child.tgid = key.kind == KIND_THREAD ? id >> 32 : args->pid;
	set_group(args->pid, &child, false, 0);
	add(forks.lookup_or_try_init(&key, &zero), 1, DROP_FORKS_FULL);
	return 0;
}

int sched_process_exec(struct tracepoint__sched__sched_process_exec *args)
{
	struct membership before = {}, now = {};
	u32 old = args->old_pid;
	struct comm comm = {};
	u64 zero = 0;

	see(SEEN_EXEC);
	bpf_get_current_comm(&comm, sizeof(comm));
	find_membership(old, &before);
	/* A thread that execs takes its leader's id. */
	if (args->old_pid != args->pid)
		forget_task(old);
	now.group = group_after_exec(before.group, &comm);
	now.tgid = args->pid;
	set_image(&now);
	/* One that was told is counted when its group is certain. */
	if (!set_group(args->pid, &now, true, before.image))
		add(execs.lookup_or_try_init(&now.group, &zero), 1, DROP_EXECS_FULL);
	return 0;
}

/* The status of a process that is all dead, as wait(2) will give it. */
static __always_inline int exit_status(void *leader, void *signal)
{
	u32 flags = 0;
	int code = 0;

	READ_MEMBER(flags, signal, OFF_SIGNAL_FLAGS);
	if (flags & SIGNAL_GROUP_EXIT)
		READ_MEMBER(code, signal, OFF_SIGNAL_GROUP_EXIT_CODE);
	else
		READ_MEMBER(code, leader, OFF_TASK_EXIT_CODE);
	return code;
}

/*
 * Whether no thread is left. Two last threads may both see that after both have
 * left: the first to ask gets it.
 */
static __always_inline bool is_last_thread(void *leader, void *signal, u32 tgid)
{
	struct process_id process = { .tgid = tgid };
	int live = 0;
	u8 one = 1;

	READ_MEMBER(live, signal, OFF_SIGNAL_LIVE);
	if (live)
		return false;
	READ_MEMBER(process.start_ns, leader, OFF_TASK_START_BOOTTIME);
	return !ended.insert(&process, &one);
}

int sched_process_exit(struct tracepoint__sched__sched_process_exit *args)
{
	void *task = (void *)bpf_get_current_task();
	u64 id = bpf_get_current_pid_tgid();
	void *signal = NULL, *leader = NULL;
	struct exits_key key = {};
	struct death death = {};
	u64 zero = 0;
	u32 tid = id;

	ft_forget(id);
	death.group = group_of_current();
	forget_task(tid);

	READ_MEMBER(signal, task, OFF_TASK_SIGNAL);
	READ_MEMBER(leader, task, OFF_TASK_GROUP_LEADER);
	/* Dead is a process whose last thread goes, whichever that is. */
#ifdef HAVE_GROUP_DEAD
	if (!args->group_dead)
		return 0;
#else
	if (!is_last_thread(leader, signal, id >> 32))
		return 0;
#endif

	see(SEEN_EXIT);
	death.status = exit_status(leader, signal);
	fill_death(&death, leader, id >> 32);
	count_lives(&death);
	remember_zombie(leader, &death);
	tell_death(&death);
	key.group = death.group;
	key.status = death.status & 0x7f;
	if (!key.status)
		key.status = (death.status >> 8) & 0xff;
	else if (death.is_oom_victim)
		key.reason = REASON_OOM;
	else
		key.reason = REASON_SIGNALED;
	add(exits.lookup_or_try_init(&key, &zero), 1, DROP_EXITS_FULL);
	return 0;
}
