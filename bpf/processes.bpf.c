// SPDX-License-Identifier: GPL-2.0
/*
 * One record of each process, from its fork until the kernel frees its task. Threads
 * have none of their own, and the main thread's end forgets nothing.
 *
 * A PID is free again before the kernel frees the old task, so a record belongs to one
 * life, told by its start: a fork closes the record of an earlier life that it meets,
 * and a free removes only the record of its own.
 */
#define PF_EXITING	0x00000004
#define PF_KTHREAD	0x00200000

BPF_HASH(processes, u32, struct process, SIZE_PROCESSES);
/* By process. User space writes them. */
BPF_HASH(placements, u32, struct placement, SIZE_PROCESSES);
/* Execs that were told, by the group that came of it. User space counts them. */
BPF_HASH(placed_execs, u32, u64, SIZE_GROUPS);

#define TICK_NS	10000000ULL	/* of the clock that user space sees, USER_HZ */

static __always_inline void *leader_of(void *task)
{
	void *leader = NULL;

	READ_MEMBER(leader, task, OFF_TASK_GROUP_LEADER);
	return leader;
}

static __always_inline void *current_leader(void)
{
	return leader_of((void *)bpf_get_current_task());
}

/* Of a task: its id and that of its process, which are neighbours unless shuffled. */
static __always_inline void read_ids(void *task, u32 *tid, u32 *tgid)
{
	u32 both[2] = {};

	if (OFF_TASK_TGID == OFF_TASK_PID + sizeof(u32)) {
		READ_MEMBER(both, task, OFF_TASK_PID);
	} else {
		READ_MEMBER(both[0], task, OFF_TASK_PID);
		READ_MEMBER(both[1], task, OFF_TASK_TGID);
	}
	*tid = both[0];
	*tgid = both[1];
}

static __always_inline u32 current_tgid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

/*
 * A program that runs: the process that started it, and when. The time alone would not
 * do, as two CPUs may be at an exec at once. A PID has 22 bits.
 */
static __always_inline u64 new_exec_id(u32 tgid)
{
	return (u64)tgid << 42 | (bpf_ktime_get_boot_ns() & (BIT(42) - 1));
}

/* What user space says of the program that the process runs; NULL when it has not yet. */
static __always_inline struct placement *placement_of(u32 tgid, u64 exec_id)
{
	struct placement *placement = placements.lookup(&tgid);

	return placement && placement->exec_id == exec_id ? placement : NULL;
}

/*
 * The group of a record, or what user space says instead. The record itself stays:
 * another CPU may be at an exec of the process.
 */
static __always_inline u32 settled_group(u32 tgid, struct process *process)
{
	u64 exec_id = process->exec_id;
	struct placement *placement;

	placement = exec_id ? placement_of(tgid, exec_id) : NULL;
	return placement ? placement->group : process->group;
}

/* Whether a record is that of the life that began then. */
static __always_inline bool is_life_of(struct process *process, u64 start_ns)
{
	return start_ns - process->start_ns < (process->is_start_rounded ? TICK_NS : 1);
}

/* Where the group is provisional, user space is told. False when it could not be. */
static __always_inline bool tell_provisional(u32 tgid, u64 exec_id, u32 group, bool is_exec,
					     u64 before, struct comm *comm)
{
	struct placement_event event = {
		.type = EVENT_PLACEMENT,
		.tgid = tgid,
		.exec_id = exec_id,
		.before = before,
		.group = group,
		.is_exec = is_exec,
		.comm = *comm,
	};

	if (!events.ringbuf_output(&event, sizeof(event), BPF_RB_FORCE_WAKEUP))
		return true;
	degrade(DEGRADED_PLACEMENTS);
	return false;
}

/*
 * A record for a process that was there before the probes, or whose fork was not seen.
 * Its group goes by its name until user space, which knows the parents, has looked.
 * NULL when there is no room, or for the dead, whose record nobody would remove,
 * unless it is asked for; the group is told in any case.
 */
static __always_inline struct process *new_record(u32 tgid, void *task, bool even_dead,
						  u32 *group)
{
	void *leader = leader_of(task), *signal = NULL;
	struct process process = {}, *known;
	struct comm comm = {};
	u32 flags = 0;
	int live = 0;

	READ_MEMBER(flags, leader, OFF_TASK_FLAGS);
	if (flags & PF_KTHREAD) {
		process.group = GROUP_KERNEL;
	} else {
		READ_MEMBER(comm, leader, OFF_TASK_COMM);
		process.group = group_by_comm(&comm);
		process.exec_id = new_exec_id(tgid);
	}
	*group = process.group;
	READ_MEMBER(signal, leader, OFF_TASK_SIGNAL);
	READ_MEMBER(live, signal, OFF_SIGNAL_LIVE);
	if (!live && !even_dead)
		return NULL;
	READ_MEMBER(process.start_ns, leader, OFF_TASK_START_BOOTTIME);
	if (!processes.insert(&tgid, &process) && process.exec_id)
		tell_provisional(tgid, process.exec_id, process.group, false, 0, &comm);
	known = processes.lookup(&tgid);
	if (!known)
		degrade(DEGRADED_PROCESSES);
	return known;
}

/* The record of the process of a task, if need be a new one; without one, its group. */
static __always_inline struct process *record_of(u32 tgid, void *task, u32 *group)
{
	struct process *process = processes.lookup(&tgid);

	return process ? process : new_record(tgid, task, false, group);
}

/* Of a process with or without a record. */
static __always_inline u32 group_of(u32 tgid, void *task)
{
	u32 group = GROUP_OTHER;
	struct process *process = record_of(tgid, task, &group);

	return process ? settled_group(tgid, process) : group;
}

static __always_inline u32 group_of_current(void)
{
	return group_of(current_tgid(), (void *)bpf_get_current_task());
}
