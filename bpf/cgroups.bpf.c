// SPDX-License-Identifier: GPL-2.0
/*
 * Paths of cgroups, told as they are made: when the last process of a unit has died,
 * its cgroup goes, too, and its id says nothing any more.
 */
#ifdef HAVE_CGROUP_MKDIR
#define CGROUP_PATH	1024	/* include/trace/events/cgroup.h: TRACE_CGROUP_PATH_LEN */

/* cgroups.py has the layout. */
struct cgroup_made {
	u32 type;
	u32 pad;
	u64 id;
	char path[CGROUP_PATH];
};

int cgroup_mkdir(struct tracepoint__cgroup__cgroup_mkdir *args)
{
	struct cgroup_made *made;
	u32 offset = args->data_loc_path & 0xffff;

	if (args->root)
		return 0;	/* not of the unified hierarchy, whose number is 0 */
	made = events.ringbuf_reserve(sizeof(*made));
	if (!made) {
		drop(DROP_CGROUPS_FULL);
		return 0;
	}
	made->type = EVENT_CGROUP;
	made->pad = 0;
	made->id = args->id;
	bpf_probe_read_kernel_str(made->path, sizeof(made->path), (void *)args + offset);
	events.ringbuf_submit(made, BPF_RB_FORCE_WAKEUP);
	return 0;
}
#endif
