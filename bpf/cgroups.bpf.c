// SPDX-License-Identifier: GPL-2.0
/*
 * Paths of cgroups, told as they are made: when the last process of a unit has died,
 * its cgroup goes, too, and its id says nothing any more.
 */

/* The arguments: struct cgroup *cgroup, const char *path. */
int cgroup_mkdir(struct raw_tracepoint *ctx)
{
	struct cgroup_made *made;
	void *root = NULL, *node = NULL;
	u32 hierarchy = 0;

	READ_MEMBER(root, ctx->args[0], OFF_CGROUP_ROOT);
	READ_MEMBER(hierarchy, root, OFF_CGROUP_ROOT_HIERARCHY_ID);
	if (hierarchy)
		return 0;	/* not of the unified hierarchy, whose number is 0 */
	made = events.ringbuf_reserve(sizeof(*made));
	if (!made) {
		degrade(DEGRADED_CGROUPS);
		return 0;
	}
	made->type = EVENT_CGROUP;
	READ_MEMBER(node, ctx->args[0], OFF_CGROUP_KN);
	READ_MEMBER(made->id, node, OFF_KERNFS_NODE_ID);
	bpf_probe_read_kernel_str(made->path, sizeof(made->path), (void *)ctx->args[1]);
	events.ringbuf_submit(made, BPF_RB_FORCE_WAKEUP);
	return 0;
}
