// SPDX-License-Identifier: GPL-2.0
/*
 * Which group a task belongs to. Traffic is keyed by small group ids, so that the
 * maps stay bounded. A task inherits its parent's group at fork and gets one by
 * its name at exec; user space places those that are there at the start.
 */
#define GROUP_KERNEL	0
#define GROUP_OTHER	1

#define PF_EXITING	0x00000004
#define PF_KTHREAD	0x00200000

struct comm {
	char name[16];
};

BPF_HASH(groups, struct comm, u32, SIZE_GROUPS);
/* What is known of a task. */
struct membership {
	u32 group;
	u32 tgid;
};

BPF_HASH(group_of, u32, struct membership, SIZE_GROUP_OF);
/* Ids that no group has yet; user space fills it. */
BPF_QUEUE(free_groups, u32, SIZE_GROUPS);

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

static __always_inline void set_group(u32 tid, u32 tgid, u32 group)
{
	struct membership membership = { .group = group, .tgid = tgid };

	if (group_of.update(&tid, &membership))
		drop(DROP_GROUP_OF_FULL);
}

/*
 * Of another task. One that is not known is dead already (a zombie can be sent
 * signals), so nothing is kept of it and its tgid is 0.
 */
static __always_inline struct membership membership_of(u32 tid, struct comm *comm)
{
	struct membership *known = group_of.lookup(&tid);
	struct membership found = {};

	if (known)
		return *known;
	found.group = group_by_comm(comm);
	return found;
}

static __always_inline u32 group_of_current(void)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id, group;
	struct membership *known = group_of.lookup(&tid);
	struct comm comm = {};
	u32 flags = 0;

	if (known)
		return known->group;
	READ_MEMBER(flags, bpf_get_current_task(), OFF_TASK_FLAGS);
	if (flags & PF_KTHREAD)
		return GROUP_KERNEL;
	bpf_get_current_comm(&comm, sizeof(comm));
	group = group_by_comm(&comm);
	/* One that ends is told of no more: what was kept of it now would stay. */
	if (!(flags & PF_EXITING))
		set_group(tid, id >> 32, group);
	return group;
}
