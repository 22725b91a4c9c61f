// SPDX-License-Identifier: GPL-2.0
/*
 * Which group a task belongs to. Traffic is keyed by small group ids, so that the
 * maps stay bounded. A task inherits its parent's group at fork and gets one by
 * its name at exec; a task that was never seen is looked up by name.
 */
#define GROUP_KERNEL	0
#define GROUP_OTHER	1

#define PF_KTHREAD	0x00200000

struct comm {
	char name[16];
};

BPF_HASH(groups, struct comm, u32, SIZE_GROUPS);
BPF_HASH(group_of, u32, u32, SIZE_GROUP_OF);
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

static __always_inline void set_group(u32 tid, u32 group)
{
	if (group_of.update(&tid, &group))
		drop(DROP_GROUP_OF_FULL);
}

static __always_inline u32 group_of_task(u32 tid, struct comm *comm)
{
	u32 *known = group_of.lookup(&tid);
	u32 group;

	if (known)
		return *known;
	group = group_by_comm(comm);
	set_group(tid, group);
	return group;
}

static __always_inline u32 group_of_current(void)
{
	u32 tid = bpf_get_current_pid_tgid();
	u32 *known = group_of.lookup(&tid);
	struct comm comm = {};
	u32 flags = 0;

	if (known)
		return *known;
	READ_MEMBER(flags, bpf_get_current_task(), OFF_TASK_FLAGS);
	if (flags & PF_KTHREAD)
		return GROUP_KERNEL;
	bpf_get_current_comm(&comm, sizeof(comm));
	return group_of_task(tid, &comm);
}
