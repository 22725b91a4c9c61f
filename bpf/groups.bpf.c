// SPDX-License-Identifier: GPL-2.0
/*
 * Which group a task belongs to. Traffic is keyed by small group ids, so that the
 * maps stay bounded. A task inherits its parent's group at fork and gets one by
 * its name at exec; user space places those that are there at the start.
 *
 * Declared groups from REFINED_FROM on may take more than the name to tell. A name's
 * group is then only provisional, unless it is declared before those: user space is
 * told of the exec, looks at the process and has the last word.
 */
#define GROUP_KERNEL	0
#define GROUP_OTHER	1
#define GROUP_FIRST	2	/* of the declared ones, which have ids in the file's order */

#define PF_EXITING	0x00000004
#define PF_KTHREAD	0x00200000

struct comm {
	char name[16];
};

BPF_HASH(groups, struct comm, u32, SIZE_GROUPS);
/* The declared groups that a process stays in through exec. */
BPF_ARRAY(keeps_children, u8, SIZE_GROUPS);

/* What is known of a task. decode.py has the layout. */
struct membership {
	u32 group;
	u32 tgid;
	u64 image;	/* when its program started; 0 once the group is certain */
};

BPF_HASH(group_of, u32, struct membership, SIZE_GROUP_OF);
/* Ids that no group has yet; user space fills it. */
BPF_QUEUE(free_groups, u32, SIZE_GROUPS);

/* The name of the current process; its threads may have names of their own. */
static __always_inline void get_process_comm(struct comm *comm)
{
	void *leader = NULL;

	READ_MEMBER(leader, bpf_get_current_task(), OFF_TASK_GROUP_LEADER);
	READ_MEMBER(*comm, leader, OFF_TASK_COMM);
}

static __always_inline u32 group_by_comm(struct comm *comm)
{
	u32 *known = groups.lookup(comm);
	u32 id;

	if (known)
		return *known;
	if (free_groups.pop(&id)) {
		drop(DROP_GROUPS_FULL);
		return GROUP_OTHER;
	}
	if (!groups.insert(comm, &id))
		return id;

	/* Another CPU was faster: its id counts, ours goes back. */
	free_groups.push(&id, 0);
	known = groups.lookup(comm);
	if (known)
		return *known;
	drop(DROP_GROUPS_FULL);
	return GROUP_OTHER;
}

/* After an exec: the first that matches in the file's order, and the lower ids are first. */
static __always_inline u32 group_after_exec(u32 before, struct comm *comm)
{
	u8 *keeps = keeps_children.lookup(&before);
	u32 *by_comm;

	if (!keeps || !*keeps)
		return group_by_comm(comm);
	by_comm = groups.lookup(comm);
	return by_comm && *by_comm < before ? *by_comm : before;
}

#ifdef REFINED_FROM
/* What user space says: it holds for the image that it looked at, and no other. */
struct placement {
	u64 image;
	u32 group;
	u32 pad;
};

/* placement.py has the layout. */
struct placement_event {
	u32 type;
	u32 tid;
	u64 image;
	u64 before;	/* the image that it was before the exec, if provisional, too */
	u32 group;	/* the provisional one */
	u32 is_exec;
	struct comm comm;
};

BPF_HASH(placements, u32, struct placement, SIZE_GROUP_OF);
/* Execs that were told, by the group that came of it. User space counts them. */
BPF_HASH(placed_execs, u32, u64, SIZE_EXECS);

static __always_inline void resolve(u32 tid, struct membership *membership)
{
	struct placement *placement;

	if (!membership->image)
		return;
	placement = placements.lookup(&tid);
	if (!placement || placement->image != membership->image)
		return;
	membership->group = placement->group;
	membership->image = 0;
}

static __always_inline void forget_task(u32 tid)
{
	group_of.delete(&tid);
	placements.delete(&tid);
}
#else
static __always_inline void resolve(u32 tid, struct membership *membership)
{
}

static __always_inline void forget_task(u32 tid)
{
	group_of.delete(&tid);
}
#endif

/* Whether there was room for it. */
static __always_inline bool set_membership(u32 tid, struct membership *membership)
{
	if (!group_of.update(&tid, membership))
		return true;
	drop(DROP_GROUP_OF_FULL);
	return false;
}

/*
 * Set the group of the current task or its new child. Where it is provisional, tell user
 * space; false when that was not told of it, and then it stays.
 */
static __always_inline bool set_group(u32 tid, struct membership *membership, bool is_exec,
				      u64 before)
{
	if (!set_membership(tid, membership))
		return false;
#ifdef REFINED_FROM
	if (membership->image) {
		struct placement_event event = {
			.type = EVENT_PLACEMENT,
			.tid = tid,
			.image = membership->image,
			.before = before,
			.group = membership->group,
			.is_exec = is_exec,
		};

		get_process_comm(&event.comm);
		if (!events.ringbuf_output(&event, sizeof(event), BPF_RB_FORCE_WAKEUP))
			return true;
		drop(DROP_PLACEMENTS_FULL);
		membership->image = 0;
		set_membership(tid, membership);
	}
#endif
	return false;
}

/* A name's group is provisional where it takes more than the name to tell. */
static __always_inline void set_image(struct membership *membership)
{
#ifdef REFINED_FROM
	if (membership->group < GROUP_FIRST || membership->group >= REFINED_FROM)
		membership->image = bpf_ktime_get_boot_ns();
#endif
}

static __always_inline bool find_membership(u32 tid, struct membership *found)
{
	struct membership *known = group_of.lookup(&tid);

	if (!known)
		return false;
	*found = *known;
	resolve(tid, found);
	return true;
}

/*
 * Of another task. One that is not known is dead already (a zombie can be sent
 * signals), so nothing is kept of it and its tgid is 0.
 */
static __always_inline struct membership membership_of(u32 tid, struct comm *comm)
{
	struct membership found = {};

	if (!find_membership(tid, &found))
		found.group = group_by_comm(comm);
	return found;
}

/* One that is not known was there before the probes and is yet to be placed. */
static __always_inline struct membership membership_of_current(void)
{
	u64 id = bpf_get_current_pid_tgid();
	struct membership found = {};
	struct comm comm = {};
	u32 flags = 0;

	if (find_membership(id, &found))
		return found;
	found.group = GROUP_KERNEL;
	READ_MEMBER(flags, bpf_get_current_task(), OFF_TASK_FLAGS);
	if (flags & PF_KTHREAD)
		return found;
	get_process_comm(&comm);
	found.group = group_by_comm(&comm);
	found.tgid = id >> 32;
	/* One that ends is told of no more: what was kept of it now would stay. */
	if (flags & PF_EXITING)
		return found;
	set_image(&found);
	set_group(id, &found, false, 0);
	return found;
}

static __always_inline u32 group_of_current(void)
{
	return membership_of_current().group;
}
