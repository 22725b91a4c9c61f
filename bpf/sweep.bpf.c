// SPDX-License-Identifier: GPL-2.0
/*
 * The sweep: an iterator over all tasks, which sums in the kernel what processes are and
 * use, by group. One sweep runs at a time; user space numbers them, reads past_use
 * before and `swept` after.
 *
 * It may read too little and never too much, as the highest value is what user space
 * keeps. The walk goes by id, so threads may come before their leader, and between two
 * visits of a process its threads may end, or another program may begin:
 * - signal->… is read whole at the first visit, be it of the leader or not. A thread
 *   released later is missed; one that was released before is in it, and not visited.
 * - Whoever joins another group between two visits is left out from there on.
 * - An exec by another thread than the leader gives that thread the leader's id, where it
 *   would be visited again: the leader is another task then.
 */
struct task_iteration {
	void *meta;
	void *task;
};

/* Time on run queues that was not added to that of the process's ended threads. */
static __always_inline u64 own_run_delay(struct user *user, void *task, bool is_leader)
{
	u32 flags = 0;

	LOAD_MEMBER(flags, task, OFF_TASK_FLAGS);
	if (flags & PF_EXITING && (!is_leader || user->ended_leader == (u64)task))
		return 0;
	return run_delay_of(task, true);
}

static __always_inline u32 sequence_of(void *signal)
{
	u32 sequence = 0;

	LOAD_MEMBER(sequence, signal, OFF_SIGNAL_STATS_LOCK);
	return sequence;
}

/*
 * What a visit adds: a thread's own use, at the first visit also that of all released
 * ones. False when a thread was released meanwhile, this one or another: it may be in
 * both. At later visits that does no harm, as it was looked up after the first.
 */
static __always_inline bool read_use(struct use *use, struct user *user, void *task, void *signal,
				     bool is_first, bool is_leader)
{
	u32 sequence = sequence_of(signal);
	void *pid = NULL;

	if (is_first) {
		add_released_use(use, signal, true);
		use->run_delay_ns += user->ended_delay_ns;
	}
	add_own_use(use, task, true);
	use->run_delay_ns += own_run_delay(user, task, is_leader);
	LOAD_MEMBER(pid, task, OFF_TASK_THREAD_PID);
	return !is_first || (pid && !(sequence & 1) && sequence_of(signal) == sequence);
}

#define NO_GROUP	(~0)

/*
 * The group for which a process counts in this sweep; what counts for it is in
 * scratch->use then. Until user space has placed the process, that is the one of its name,
 * and what was told for that one stays there: scratch->provisional says how much.
 * NO_GROUP where there is no room to remember that.
 */
static __always_inline u32 begin_visit(u32 tgid, u64 exec_id, u32 group, u32 sweep,
				       struct sweep_scratch *scratch)
{
	struct provisional_use *provisional = NULL;
	struct placement *placement = NULL;

	scratch->provisional.exec_id = exec_id;
	scratch->provisional.told = scratch->base;
	if (exec_id) {
		placement = placement_of(tgid, exec_id);
		provisional = provisional_use.lookup(&tgid);
		if (provisional && provisional->exec_id != exec_id)
			provisional = NULL;
		if (provisional)
			raise_use(&provisional->told, &provisional->collected);
	}
	if (placement) {
		if (provisional)
			scratch->provisional.told = provisional->told;
		subtract_use(&scratch->use, &scratch->provisional.told);
		return placement->group;
	}
	if (exec_id) {
		if (!provisional) {
			provisional_use.update(&tgid, &scratch->provisional);
			provisional = provisional_use.lookup(&tgid);
		}
		if (!provisional) {
			degrade(DEGRADED_USE);
			return NO_GROUP;
		}
		provisional->collected = scratch->use;
		provisional->sweep = sweep;
	}
	subtract_use(&scratch->use, &scratch->base);
	return group;
}

/* Another thread of a process that user space has not placed. */
static __always_inline void collect_more(u32 tgid, u64 exec_id, u32 sweep, struct use *use)
{
	struct provisional_use *provisional = provisional_use.lookup(&tgid);

	if (provisional && provisional->exec_id == exec_id && provisional->sweep == sweep)
		add_use(&provisional->collected, use);
}

/* Whether the record is the same as when it was looked at: nobody joined another group. */
static __always_inline bool is_same(struct user *user, u64 start_ns, u32 joined)
{
	barrier();
	return user->joined == joined && user->start_ns == start_ns;
}

/* What a thread and, at the first visit, all released ones of its process have used. */
static __always_inline void sweep_use(u32 tgid, struct process *process, struct user *user,
				      void *task, void *leader, void *signal, u32 sweep,
				      struct sweep_scratch *scratch)
{
	u32 joined = user->joined, group, counts_for;
	bool is_first = user->visit != sweep;
	u64 start_ns = user->start_ns, exec_id;
	struct swept *found;

	if (joined & 1)
		return;
	if (!is_first && (user->visit_joined != joined || user->visit_leader != (u64)leader))
		return;
	barrier();
	group = process->group;
	exec_id = process->exec_id;
	scratch->base = user->base;
	__builtin_memset(&scratch->use, 0, sizeof(scratch->use));
	if (!read_use(&scratch->use, user, task, signal, is_first, task == leader) ||
	    !is_same(user, start_ns, joined))
		return;
	if (!is_first) {
		user->cpu_ns += scratch->use.cpu_ns;
		counts_for = user->visit_group;
		if (exec_id)
			collect_more(tgid, exec_id, sweep, &scratch->use);
	} else {
		user->cpu_ns = scratch->use.cpu_ns;
		user->signals = process->signals;
		counts_for = begin_visit(tgid, exec_id, group, sweep, scratch);
		/* An exec meanwhile has told for the name's group what would be told here. */
		if (!is_same(user, start_ns, joined))
			return;
		user->visit_group = counts_for;
		user->visit_joined = joined;
		user->visit_leader = (u64)leader;
		user->visit = sweep;
		found = exec_id && counts_for != NO_GROUP ? swept_of(group, sweep) : NULL;
		if (found) {
			add_use(&found->use, &scratch->provisional.told);
			subtract_use(&found->use, &scratch->base);
		}
	}
	found = counts_for == NO_GROUP ? NULL : swept_of(counts_for, sweep);
	if (found)
		add_use(&found->use, &scratch->use);
}

int bpf_iter__task(struct task_iteration *ctx)
{
	u32 place = SETTING_SWEEP, tid = 0, tgid = 0, group = GROUP_OTHER, state, *sweep;
	struct sweep_scratch *scratch = scratch_of_sweep();
	void *task = ctx->task, *leader, *signal = NULL;
	struct process *process;
	struct user *user = NULL;
	struct swept *found;
	u64 start_ns = 0;
	bool has_descriptors = false;

	sweep = settings.lookup(&place);
	if (!task || !sweep || !scratch)
		return 0;
	LOAD_MEMBER(tid, task, OFF_TASK_PID);
	LOAD_MEMBER(tgid, task, OFF_TASK_TGID);
	LOAD_MEMBER(leader, task, OFF_TASK_GROUP_LEADER);
	/* In the middle of an exec by another thread than the leader. */
	if ((task == leader) != (tid == tgid))
		return 0;
	LOAD_MEMBER(signal, task, OFF_TASK_SIGNAL);
	LOAD_MEMBER(start_ns, leader, OFF_TASK_START_BOOTTIME);
	process = record_of(tgid, leader, &group);
	if (process) {
		group = settled_group(tgid, process);
		if (is_life_of(process, start_ns) && !process->is_use_unknown)
			user = user_of(tgid, process);
	}
	if (user) {
		/* First: the verifier walks the bitmap once for each way that leads there. */
		has_descriptors = read_descriptors(user, task, *sweep);
		sweep_use(tgid, process, user, task, leader, signal, *sweep, scratch);
	}
	/* What it is counts for the group that it is in now, which may be another one already. */
	found = swept_of(group, *sweep);
	if (!found)
		return 0;
	state = state_of(task);
	count_state(found->threads, state);
	if (user && has_descriptors)
		sweep_descriptors(found, user->descriptors, signal);
	if (user)
		sweep_shared_memory(found, user, task, group == GROUP_KERNEL, *sweep);
	if (task == leader)
		sweep_process(found, group, leader, signal, state, start_ns, *sweep);
	return 0;
}
