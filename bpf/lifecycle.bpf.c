// SPDX-License-Identifier: GPL-2.0
/* Forks, execs, exits, and the moment at which the kernel frees the dead. */
#define CLONE_VFORK	0x00004000
#define CLONE_THREAD	0x00010000

#define SIGNAL_GROUP_EXIT	0x00000004

#ifndef HAVE_GROUP_DEAD
#define EEXIST	17

struct life {
	u64 start_ns;
	u32 tgid;
	u32 pad;
};

/* Processes that were counted as dead, until they are freed. */
BPF_HASH(ended, struct life, u8, SIZE_PROCESSES);
#endif

/* A dead process is gone: how long it waited for its parent to reap it. */
static __always_inline void count_reaping(struct process *process)
{
	struct reap_delay_seconds_key key = { .parent = process->parent_group };

	if (process->end_ns)
		observe_reap_delay_seconds(&key, bpf_ktime_get_boot_ns() - process->end_ns);
}

/* The record of a new process; that of an earlier life is closed. */
static __always_inline void begin_life(u32 tgid, struct process *process)
{
	struct process *known;

	if (!processes.insert(&tgid, process))
		return;
	known = processes.lookup(&tgid);
	/* It was sent a signal before the kernel told of the fork: who did so is kept. */
	if (known && !known->is_dead && is_life_of(known, process->start_ns)) {
		known->group = process->group;
		known->exec_id = process->exec_id;
		provisional_use.delete(&tgid);
		return;
	}
	if (known) {
		count_reaping(known);
		depart(tgid, known);
	}
	if (processes.update(&tgid, process))
		degrade(DEGRADED_PROCESSES);
}

/* The arguments: struct task_struct *task, unsigned long clone_flags. */
int task_newtask(struct raw_tracepoint *ctx)
{
	void *child = (void *)ctx->args[0];
	u32 parent_tgid = current_tgid(), tgid = 0;
	struct placement *placement = NULL;
	struct forks_key key = {};
	struct process process = {};
	u64 flags = ctx->args[1];
	struct process *parent;
	struct comm comm = {};

	see(SEEN_FORK);
	key.kind = KIND_PROCESS;
	if (flags & CLONE_THREAD)
		key.kind = KIND_THREAD;
	else if (flags & CLONE_VFORK)
		key.kind = KIND_VFORK;
	key.via = ft_is_forking() ? VIA_FT_FORK : VIA_NATIVE;
	parent = record_of(parent_tgid, (void *)bpf_get_current_task(), &key.group);
	if (parent) {
		/* While the parent's group is provisional, so is the child's, for the same program. */
		process.exec_id = parent->exec_id;
		if (process.exec_id)
			placement = placement_of(parent_tgid, process.exec_id);
		if (placement)
			process.exec_id = 0;
		key.group = placement ? placement->group : parent->group;
	}
	count_forks(&key, 1);
	if (key.kind == KIND_THREAD)
		return 0;

	READ_MEMBER(tgid, child, OFF_TASK_TGID);
	READ_MEMBER(process.start_ns, child, OFF_TASK_START_BOOTTIME);
	READ_MEMBER(comm, child, OFF_TASK_COMM);
	process.group = key.group;
	begin_life(tgid, &process);
	if (process.exec_id)
		tell_provisional(tgid, process.exec_id, process.group, false, 0, &comm);
	return 0;
}

/* The arguments: struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm. */
int sched_process_exec(struct raw_tracepoint *ctx)
{
	void *leader = current_leader();
	struct execs_key key = {};
	u32 tgid = current_tgid(), group;
	u64 before = 0, exec_id = 0;
	struct process *process;
	struct user *user = NULL;
	struct comm comm = {};

	see(SEEN_EXEC);
	READ_MEMBER(comm, leader, OFF_TASK_COMM);
	process = record_of(tgid, leader, &key.group);
	if (!process) {
		count_execs(&key, 1);
		return 0;
	}
	before = process->exec_id;
	group = settled_group(tgid, process);
	key.group = group_after_exec(group, &comm);
	/* Where user space has not looked yet, the process may be in a group of its parents. */
	if (is_provisional(key.group) || (before && !placement_of(tgid, before)))
		exec_id = new_exec_id(tgid);
	if (key.group != group || before || exec_id)
		user = begin_joining(tgid, process);
	process->group = key.group;
	process->exec_id = exec_id;
	end_joining(user);
	/* The program that was asked to end has gone. */
	process->term_ns = 0;
	/* An exec that was told is counted by user space, when its group is final. */
	if (exec_id && tell_provisional(tgid, exec_id, key.group, true, before, &comm))
		return 0;
	process->exec_id = 0;
	count_execs(&key, 1);
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

#ifndef HAVE_GROUP_DEAD
/*
 * Whether no thread is left. Two last threads may both see that after both have
 * left: the first to ask gets it.
 */
static __always_inline bool is_last_thread(void *leader, void *signal, u32 tgid)
{
	struct life life = { .tgid = tgid };
	int live = 0;
	u8 one = 1;

	READ_MEMBER(live, signal, OFF_SIGNAL_LIVE);
	if (live)
		return false;
	READ_MEMBER(life.start_ns, leader, OFF_TASK_START_BOOTTIME);
	/* Where there is no room, a process counted twice is better than one not at all. */
	return ended.insert(&life, &one) != -EEXIST;
}
#endif

static __always_inline void count_exit(struct death *death)
{
	struct exits_key key = { .group = death->group };

	key.status = death->status & 0x7f;
	if (!key.status)
		key.status = death->status >> 8 & 0xff ? STATUS_NONZERO : 0;
	else if (death->is_oom_victim)
		key.reason = REASON_OOM;
	else
		key.reason = REASON_SIGNALED;
	count_exits(&key, 1);
}

/* The arguments: struct task_struct *task; since Linux 6.18 bool group_dead. */
int sched_process_exit(struct raw_tracepoint *ctx)
{
	void *leader = current_leader(), *signal = NULL, *parent = NULL;
	u64 id = bpf_get_current_pid_tgid();
	struct process *process;
	struct death death = {};
	u32 tgid = id >> 32;

	ft_forget(id);
	kill_forget(id);
	READ_MEMBER(signal, leader, OFF_TASK_SIGNAL);
	keep_run_delay(tgid, leader, signal);
	/* Dead is a process whose last thread goes, whichever that is. */
#ifdef HAVE_GROUP_DEAD
	if (!(ctx->args[1] & 1))
		return 0;
#else
	if (!is_last_thread(leader, signal, tgid))
		return 0;
#endif

	see(SEEN_EXIT);
	death.status = exit_status(leader, signal);
	fill_death(&death, leader, tgid);
	READ_MEMBER(parent, leader, OFF_TASK_REAL_PARENT);
	parent = leader_of(parent);
	READ_MEMBER(death.ppid, parent, OFF_TASK_TGID);
	READ_MEMBER(death.parent_comm, parent, OFF_TASK_COMM);
	process = processes.lookup(&tgid);
	if (!process)
		process = new_record(tgid, leader, true, &death.group);
	if (process) {
		fill_from_record(&death, process);
		process->parent_group = group_of(death.ppid, parent);
		process->end_ns = death.end_ns;
		process->is_dead = 1;
	}
	count_lives(&death, process);
	count_exit(&death);
	tell_death(&death);
	return 0;
}

/*
 * On the raw tracepoint, as RCU frees tasks in interrupts.
 * The argument: struct task_struct *task.
 */
int sched_process_free(struct raw_tracepoint *ctx)
{
	void *task = (void *)ctx->args[0];
	struct process *process;
	u32 tid = 0, tgid = 0;
	u64 start_ns = 0;

	read_ids(task, &tid, &tgid);
	if (tid != tgid)
		return 0;
	READ_MEMBER(start_ns, task, OFF_TASK_START_BOOTTIME);
#ifndef HAVE_GROUP_DEAD
	struct life life = { .start_ns = start_ns, .tgid = tgid };

	ended.delete(&life);
#endif
	process = processes.lookup(&tgid);
	if (!process || !is_life_of(process, start_ns)) {
		if (!count_departed(tgid, start_ns, task))
			degrade(DEGRADED_USE);
		return 0;
	}
	count_reaping(process);
	count_whole_use(tgid, process, task);
	processes.delete(&tgid);
	/* Most have none, and to look takes no lock. */
	if (placements.lookup(&tgid))
		placements.delete(&tgid);
	return 0;
}
