/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _UAPI_LINUX_PID_INFO_H
#define _UAPI_LINUX_PID_INFO_H

#include <linux/types.h>

/*
 * Groups of fields, for pid_info.mask. The caller sets the groups it wants;
 * the kernel answers with the groups it filled. A group that was asked for and
 * is clear in the answer does not exist for this task, or may not be seen by
 * the caller. Bits that this kernel does not know are ignored on the way in
 * and clear on the way out. PID_INFO_IDENT is always filled.
 */
#define PID_INFO_IDENT		(1ULL << 0)	/* pid .. comm */
#define PID_INFO_CREDS		(1ULL << 1)	/* uid .. egid */
#define PID_INFO_TIMES		(1ULL << 2)	/* start_ns .. stime_ns */
#define PID_INFO_SCHED		(1ULL << 3)	/* policy .. nivcsw */
#define PID_INFO_FAULTS		(1ULL << 4)	/* min_flt, maj_flt */
#define PID_INFO_MEM		(1ULL << 5)	/* rss, vsize */
#define PID_INFO_IO		(1ULL << 6)	/* rchar .. write_bytes */
#define PID_INFO_SIGNALS	(1ULL << 7)	/* sig_pending .. sigq_limit */
#define PID_INFO_EXIT		(1ULL << 8)	/* exit_code, of a zombie */
#define PID_INFO_CGROUP		(1ULL << 9)	/* cgroup_id */
#define PID_INFO_STACK		(1ULL << 10)	/* stack */
#define PID_INFO_SP		(1ULL << 11)	/* sp, of a blocked or stopped task */
#define PID_INFO_CHILDREN	(1ULL << 12)	/* children, children_count */
#define PID_INFO_ROOT		(1ULL << 13)	/* root, root_len */
#define PID_INFO_CWD		(1ULL << 14)	/* cwd, cwd_len */

/* Every group that needs no buffer of the caller. */
#define PID_INFO_FIXED		((1ULL << 12) - 1)
#define PID_INFO_ALL		((1ULL << 15) - 1)

/* Flags: answer for the first visible process whose PID is >= pid. */
#define PID_INFO_NEXT		(1U << 0)

#define PID_INFO_COMM_LEN	16

/**
 * struct pid_info - what get_pid_info() tells of one task
 * @mask: in: groups wanted; out: groups filled
 * @size: out: size of the structure that this kernel knows
 * @state: one of the letters of /proc/PID/stat
 * @pid: id of the task, in the caller's PID namespace, as all ids here
 * @tgid: id of the task's process
 * @ppid: id of the parent process; 0 outside the caller's PID namespace
 * @pgid: process group
 * @sid: session
 * @num_threads: threads of the process
 * @comm: name, padded with NUL bytes
 * @uid: real user, in the caller's user namespace, as all users here
 * @euid: effective user
 * @gid: real group
 * @egid: effective group
 * @start_ns: start on the boot clock of the caller's time namespace
 * @age_ns: time since the start, on the boot clock
 * @utime_ns: time in user mode
 * @stime_ns: time in kernel mode
 * @policy: scheduling policy, SCHED_*
 * @nice: nice value
 * @priority: as in /proc/PID/stat
 * @rt_priority: real-time priority, 0 for none
 * @nvcsw: voluntary context switches of the task
 * @nivcsw: involuntary context switches of the task
 * @min_flt: page faults without I/O
 * @maj_flt: page faults with I/O
 * @rss: resident bytes
 * @vsize: virtual bytes
 * @rchar: bytes that read(2) and its like returned
 * @wchar: bytes given to write(2) and its like
 * @read_bytes: bytes fetched from storage
 * @write_bytes: bytes sent to storage
 * @sig_pending: signals pending for the task, bit n-1 for signal n, as all sets
 * @sig_shared_pending: signals pending for the process
 * @sig_blocked: signals blocked by the task
 * @sig_ignored: signals ignored by the process
 * @sig_caught: signals that the process handles
 * @sigq_len: signals queued for the user of the process
 * @sigq_limit: RLIMIT_SIGPENDING of the process
 * @cgroup_id: id of the cgroup in the default hierarchy
 * @stack: start of the user stack
 * @sp: user stack pointer
 * @children: in: address of an array of __s32 for the ids of the children
 * @root: in: address of a buffer for the path of the root directory
 * @cwd: in: address of a buffer for the path of the working directory
 * @children_cap: in: room in @children, in elements
 * @children_count: out: how many children there are, may exceed the room
 * @root_cap: in: room in @root, in bytes
 * @root_len: out: length with NUL; nothing is written when it exceeds the room
 * @cwd_cap: in: room in @cwd, in bytes
 * @cwd_len: out: length with NUL; nothing is written when it exceeds the room
 * @exit_code: status as wait(2) gives it
 * @reserved: 0
 *
 * The times and the faults of a process are those of all its threads when it
 * is named by its own id, and the thread's when a thread is named by its id.
 */
struct pid_info {
	__aligned_u64 mask;
	__u32 size;
	__u32 state;

	__s32 pid;
	__s32 tgid;
	__s32 ppid;
	__s32 pgid;
	__s32 sid;
	__u32 num_threads;
	char comm[PID_INFO_COMM_LEN];

	__u32 uid;
	__u32 euid;
	__u32 gid;
	__u32 egid;

	__aligned_u64 start_ns;
	__aligned_u64 age_ns;
	__aligned_u64 utime_ns;
	__aligned_u64 stime_ns;

	__u32 policy;
	__s32 nice;
	__s32 priority;
	__u32 rt_priority;
	__aligned_u64 nvcsw;
	__aligned_u64 nivcsw;

	__aligned_u64 min_flt;
	__aligned_u64 maj_flt;

	__aligned_u64 rss;
	__aligned_u64 vsize;

	__aligned_u64 rchar;
	__aligned_u64 wchar;
	__aligned_u64 read_bytes;
	__aligned_u64 write_bytes;

	__aligned_u64 sig_pending;
	__aligned_u64 sig_shared_pending;
	__aligned_u64 sig_blocked;
	__aligned_u64 sig_ignored;
	__aligned_u64 sig_caught;
	__aligned_u64 sigq_len;
	__aligned_u64 sigq_limit;

	__aligned_u64 cgroup_id;

	__aligned_u64 stack;
	__aligned_u64 sp;

	__aligned_u64 children;
	__aligned_u64 root;
	__aligned_u64 cwd;
	__u32 children_cap;
	__u32 children_count;
	__u32 root_cap;
	__u32 root_len;
	__u32 cwd_cap;
	__u32 cwd_len;

	__s32 exit_code;
	__u32 reserved;
};

#define PID_INFO_SIZE_VER0	336	/* sizeof the first published struct */

#endif /* _UAPI_LINUX_PID_INFO_H */
