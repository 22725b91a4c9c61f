// SPDX-License-Identifier: GPL-2.0
/*
 * Groups. Traffic is keyed by small group ids, so that the maps stay bounded. A program
 * gets its group by its name: one that a rule declares, or one of its own.
 *
 * Rules are in maps, never in this text. Some take more than the name to tell: user
 * space then has the last word (placement). It gives out the ids of declared groups
 * and takes back those that nothing names any more.
 */
#define COMM_RULES	4096

/* The id of a name's own group. */
BPF_HASH(groups, struct comm, u32, SIZE_GROUPS);
/* The id of the declared group of a name. */
BPF_HASH(comm_rules, struct comm, u32, COMM_RULES);
/* What each id stands for. */
BPF_ARRAY(group_table, struct group_entry, SIZE_GROUPS);
/* Ids that stand for nothing; user space fills it. */
BPF_QUEUE(free_groups, u32, SIZE_GROUPS);
BPF_ARRAY(settings, u32, SETTING_COUNT);

static __always_inline void name_group(u32 id, struct comm *comm, u32 kind)
{
	struct group_entry *entry = group_table.lookup(&id);

	if (!entry)
		return;
	__builtin_memcpy(entry->name, comm, sizeof(*comm));
	entry->precedence = ~0;
	entry->keeps_children = 0;
	entry->kind = kind;
}

/* The group of a name that no rule declares. */
static __always_inline u32 own_group(struct comm *comm)
{
	u32 *known = groups.lookup(comm);
	u32 id;

	if (known)
		return *known;
	if (free_groups.pop(&id)) {
		degrade(DEGRADED_GROUPS);
		return GROUP_OTHER;
	}
	/* Named before it is given out, so that no reader meets an id without a name. */
	name_group(id, comm, KIND_OF_GROUP_COMM);
	if (!groups.insert(comm, &id))
		return id;

	/* Another CPU was faster: its id counts, ours goes back. */
	name_group(id, comm, KIND_OF_GROUP_FREE);
	free_groups.push(&id, 0);
	known = groups.lookup(comm);
	if (known)
		return *known;
	degrade(DEGRADED_GROUPS);
	return GROUP_OTHER;
}

static __always_inline u32 group_by_comm(struct comm *comm)
{
	u32 *declared = comm_rules.lookup(comm);

	return declared ? *declared : own_group(comm);
}

static __always_inline u32 precedence_of(u32 group)
{
	struct group_entry *entry = group_table.lookup(&group);

	return entry ? entry->precedence : ~0;
}

/* Whose times a group's are: a histogram takes many series, so those are for declared groups. */
static __always_inline u32 declared_or_other(u32 group)
{
	struct group_entry *entry = group_table.lookup(&group);

	if (entry && entry->kind == KIND_OF_GROUP_DECLARED && entry->precedence != ~0)
		return group;
	return GROUP_OTHER;
}

/*
 * After an exec: where children stay in their group, only a rule that comes before that
 * of the group takes the process out of it.
 */
static __always_inline u32 group_after_exec(u32 before, struct comm *comm)
{
	struct group_entry *entry = group_table.lookup(&before);
	u32 *declared;

	if (!entry || !entry->keeps_children)
		return group_by_comm(comm);
	declared = comm_rules.lookup(comm);
	return declared && precedence_of(*declared) < entry->precedence ? *declared : before;
}

/* Whether a rule that takes more than the name could come before this group's. */
static __always_inline bool is_provisional(u32 group)
{
	u32 place = SETTING_REFINED_PRECEDENCE;
	u32 *refined = settings.lookup(&place);

	return refined && *refined != ~0 && group != GROUP_KERNEL &&
	       precedence_of(group) >= *refined;
}
