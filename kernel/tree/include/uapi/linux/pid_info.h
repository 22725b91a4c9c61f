/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
#ifndef _UAPI_LINUX_PID_INFO_H
#define _UAPI_LINUX_PID_INFO_H

#include <linux/types.h>

/*
 * Groups of fields, for the four masks of struct pid_info. What the caller has
 * set in @wanted comes back in @filled or in @denied; or in neither, when this
 * task has no such thing; or, when this kernel cannot tell it at all or @size
 * ends before the group does, without its bit in @supported.
 *
 * Of a task that was reaped there is PID_INFO_REAPED and nothing else, for who has
 * a pidfd of it and wants that; else ESRCH.
 *
 * A group marked R is told to who may read the task's memory, as /proc does
 * (PTRACE_MODE_READ_FSCREDS), one marked A to who may attach to it; the others
 * to everybody who may see the process.
 */
#define PID_INFO_IDENT		(1ULL << 0)	/* state .. start_ns; always */
#define PID_INFO_PGRP		(1ULL << 1)	/* pgid; as getpgid() may */
#define PID_INFO_SESSION	(1ULL << 2)	/* sid; as getsid() may */
#define PID_INFO_INODE		(1ULL << 3)	/* inode, of the pidfd */
#define PID_INFO_CREDS		(1ULL << 4)	/* uid .. fsgid */
#define PID_INFO_TIMES		(1ULL << 5)	/* utime_ns, stime_ns */
#define PID_INFO_SCHED		(1ULL << 6)	/* policy ..; sched_getattr() */
#define PID_INFO_SWITCHES	(1ULL << 7)	/* nvcsw, nivcsw */
#define PID_INFO_FAULTS		(1ULL << 8)	/* min_flt, maj_flt */
#define PID_INFO_MEM		(1ULL << 9)	/* rss, vsize */
#define PID_INFO_IO		(1ULL << 10)	/* R rchar .. write_bytes */
#define PID_INFO_SIGNALS	(1ULL << 11)	/* sig_pending .. sigq_limit */
#define PID_INFO_EXIT		(1ULL << 12)	/* R exit_code, of the dead */
#define PID_INFO_CGROUP		(1ULL << 13)	/* cgroup_id */
#define PID_INFO_STACK		(1ULL << 14)	/* R stack */
#define PID_INFO_SP		(1ULL << 15)	/* A sp, of a blocked task */
#define PID_INFO_CHILDREN	(1ULL << 16)	/* children: __s32 each */
#define PID_INFO_ROOT		(1ULL << 17)	/* R root */
#define PID_INFO_CWD		(1ULL << 18)	/* R cwd */
/* The end of PID_INFO_SIZE_VER0. */
#define PID_INFO_EXE		(1ULL << 19)	/* R exe */
#define PID_INFO_CMDLINE	(1ULL << 20)	/* cmdline */
#define PID_INFO_NAME		(1ULL << 21)	/* name */
#define PID_INFO_GROUPS		(1ULL << 22)	/* groups: __u32 each */
#define PID_INFO_NSPIDS		(1ULL << 23)	/* nspids: __s32 each */
#define PID_INFO_CAPS		(1ULL << 24)	/* cap_inheritable .. */
#define PID_INFO_SECCOMP	(1ULL << 25)	/* no_new_privs .. */
#define PID_INFO_CTIMES		(1ULL << 26)	/* cutime_ns .. cmaj_flt */
#define PID_INFO_CPU		(1ULL << 27)	/* cpu .. timeslices */
#define PID_INFO_MEMSTAT	(1ULL << 28)	/* rss_anon .. */
#define PID_INFO_BLOCKIO	(1ULL << 29)	/* R syscr .. cancelled */
#define PID_INFO_TTY		(1ULL << 30)	/* tty, tpgid */
#define PID_INFO_TRACER		(1ULL << 31)	/* tracer_pid */
#define PID_INFO_NAMESPACES	(1ULL << 32)	/* R ns_cgroup .. ns_uts */
#define PID_INFO_FILES		(1ULL << 33)	/* R open_files */
#define PID_INFO_LIMITS		(1ULL << 34)	/* limits */
/* The end of PID_INFO_SIZE_VER1. */
#define PID_INFO_REAPED		(1ULL << 35)	/* exit_code, of the reaped */

/* Flags. */
#define PID_INFO_THREAD		(1U << 0)	/* @pid is a thread's id */
#define PID_INFO_PIDFD		(1U << 1)	/* @pid is a pidfd */
#define PID_INFO_MANY		(1U << 2)	/* records from @cursor on */

#define PID_INFO_COMM_LEN	16
#define PID_INFO_LIMITS_LEN	16		/* RLIM_NLIMITS */

/* pid_info_data.offset of what was longer than the room for it. */
#define PID_INFO_NO_ROOM	(~0U)

/* pid_info_data.size of a path that is longer than any buffer of the kernel. */
#define PID_INFO_TOO_LONG	(~0U)

/* Bits of pid_info.flags. */
#define PID_INFO_F_KTHREAD	(1U << 0)	/* a thread of the kernel */
#define PID_INFO_F_USER_WORKER	(1U << 1)	/* of the kernel, in a process */
#define PID_INFO_F_EXITING	(1U << 2)
#define PID_INFO_F_ROOT_DELETED	(1U << 3)	/* @root has been unlinked... */
#define PID_INFO_F_CWD_DELETED	(1U << 4)
#define PID_INFO_F_EXE_DELETED	(1U << 5)
#define PID_INFO_F_ROOT_OUTSIDE	(1U << 6)	/* ...is beyond the caller's root */
#define PID_INFO_F_CWD_OUTSIDE	(1U << 7)
#define PID_INFO_F_EXE_OUTSIDE	(1U << 8)

/**
 * struct pid_info_data - a string or a list in the buffer
 * @offset: of a single answer from the start of the buffer, of a record of many
 *          from the start of the record; PID_INFO_NO_ROOM if it is not there
 * @size: bytes that it takes, a string's NUL included, or that it would take
 */
struct pid_info_data {
	__u32 offset;
	__u32 size;
};

/**
 * struct pid_info - what get_pid_info() is asked, and what it tells of one task
 * @wanted: in: groups wanted; bits that this kernel does not know do no harm
 * @filled: out: groups that are in this answer
 * @denied: out: groups that the caller may not have of this task
 * @supported: out: groups that this kernel can tell in a structure of this size
 * @buffer: in: address of the buffer for strings, lists and many records
 * @match_inode: in: unless 0, the inode that the task must have (else ESRCH)
 * @match_start_ns: in: unless 0, the start that the task must have (else ESRCH)
 * @buffer_size: in: bytes of the buffer
 * @buffer_needed: out: bytes that the answer's strings and lists take; with
 *                 ENOSPC those of the record that did not fit
 * @string_max: in: unless 0, strings and lists that take more are left out, as
 *              if there were no room for them
 * @cursor: in and out, of PID_INFO_MANY: the id to go on from; 0 at the start
 * @size: out: bytes from the start of this record to the next; of a single
 *        answer those of this structure that were filled
 * @flags: out: PID_INFO_F_*
 *
 * @state: one of the letters of /proc/PID/stat
 * @pid: id of the task, in the caller's PID namespace, as all ids here
 * @tgid: id of the task's process
 * @ppid: id of the parent process; 0 outside the caller's PID namespace
 * @num_threads: threads of the process
 * @exit_signal: what the parent gets at the end of the process, 0 for nothing,
 *               -1 for a thread
 * @comm: name, padded with NUL bytes
 * @start_ns: start on the boot clock of the caller's time namespace
 * @age_ns: time since the start, on the boot clock
 * @pgid: process group
 * @sid: session
 * @inode: of the task's pidfd, never given twice while the kernel runs
 * @uid: real user, in the caller's user namespace, as all users and groups here
 * @euid: effective user
 * @suid: saved user
 * @fsuid: user of the file system
 * @gid: real group
 * @egid: effective group
 * @sgid: saved group
 * @fsgid: group of the file system
 * @utime_ns: time in user mode
 * @stime_ns: time in kernel mode
 * @policy: scheduling policy, SCHED_*
 * @nice: nice value
 * @priority: as in /proc/PID/stat
 * @rt_priority: real-time priority, 0 for none
 * @nvcsw: voluntary context switches
 * @nivcsw: involuntary context switches
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
 * @exit_code: status as wait(2) gives it
 * @reserved: 0
 * @children: ids of the children, in no order
 * @root: path of the root directory
 * @cwd: path of the working directory
 *
 * @exe: path of the program
 * @cmdline: the arguments, NUL after each, as /proc/PID/cmdline
 * @name: the long name of a kernel thread, else @comm
 * @groups: supplementary groups
 * @nspids: ids of the task from the caller's PID namespace down to its own
 * @cap_inheritable: capabilities, bit n for capability n
 * @cap_permitted: capabilities
 * @cap_effective: capabilities
 * @cap_bounding: capabilities
 * @cap_ambient: capabilities
 * @securebits: as PR_GET_SECUREBITS
 * @no_new_privs: 1 if execve(2) gives no privileges
 * @seccomp_mode: SECCOMP_MODE_*
 * @seccomp_filters: seccomp filters in force
 * @cutime_ns: user time of children that were waited for, and of theirs
 * @cstime_ns: their time in the kernel
 * @cmin_flt: their page faults without I/O
 * @cmaj_flt: their page faults with I/O
 * @cpu: processor of the last run
 * @runtime_ns: time on a processor, to the nanosecond
 * @run_delay_ns: time of the task waiting for a processor
 * @timeslices: times that the task was given a processor
 * @rss_anon: resident bytes of anonymous memory
 * @rss_file: of files
 * @rss_shmem: of shared memory
 * @swap: bytes in swap
 * @rss_peak: highest value of @rss
 * @vsize_peak: highest value of @vsize
 * @locked: bytes that mlock(2) keeps
 * @pinned: bytes that the kernel has pinned
 * @page_tables: bytes of page tables
 * @data: bytes of private writable mappings
 * @stack_size: bytes of stack
 * @text: bytes of the program's code
 * @oom_score_adj: as in /proc/PID/oom_score_adj
 * @syscr: calls of read(2) and its like
 * @syscw: calls of write(2) and its like
 * @cancelled_write_bytes: bytes of @write_bytes that never got to storage
 * @tty: number of the controlling terminal, as new_encode_dev(); 0 for none
 * @tpgid: foreground process group of it, or -1
 * @tracer_pid: process that traces the task, 0 for none
 * @open_files: open descriptors
 * @ns_cgroup: inodes of the namespaces, as stat(2) of /proc/PID/ns/... has them
 * @ns_ipc: as @ns_cgroup
 * @ns_mnt: as @ns_cgroup
 * @ns_net: as @ns_cgroup
 * @ns_pid: as @ns_cgroup
 * @ns_pid_for_children: as @ns_cgroup; 0 when it has no process yet
 * @ns_time: as @ns_cgroup
 * @ns_time_for_children: as @ns_cgroup
 * @ns_user: as @ns_cgroup
 * @ns_uts: as @ns_cgroup
 * @limits: of RLIMIT_CPU, 0, to RLIMIT_RTTIME, 15: soft and hard, ~0 for none
 *
 * Without PID_INFO_THREAD times, switches, faults, I/O, @runtime_ns are those of
 * the process, all its threads and those that have ended included; with it they
 * are the thread's. Times of waiting and all about scheduling are a thread's,
 * the main thread's for a process.
 */
struct pid_info {
	__aligned_u64 wanted;
	__aligned_u64 filled;
	__aligned_u64 denied;
	__aligned_u64 supported;
	__aligned_u64 buffer;
	__aligned_u64 match_inode;
	__aligned_u64 match_start_ns;
	__u32 buffer_size;
	__u32 buffer_needed;
	__u32 string_max;
	__s32 cursor;
	__u32 size;
	__u32 flags;

	__u32 state;
	__s32 pid;
	__s32 tgid;
	__s32 ppid;
	__u32 num_threads;
	__s32 exit_signal;
	char comm[PID_INFO_COMM_LEN];
	__aligned_u64 start_ns;
	__aligned_u64 age_ns;

	__s32 pgid;
	__s32 sid;
	__aligned_u64 inode;

	__u32 uid;
	__u32 euid;
	__u32 suid;
	__u32 fsuid;
	__u32 gid;
	__u32 egid;
	__u32 sgid;
	__u32 fsgid;

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

	__s32 exit_code;
	__u32 reserved;

	struct pid_info_data children;
	struct pid_info_data root;
	struct pid_info_data cwd;
	/* PID_INFO_SIZE_VER0 */

	struct pid_info_data exe;
	struct pid_info_data cmdline;
	struct pid_info_data name;
	struct pid_info_data groups;
	struct pid_info_data nspids;

	__aligned_u64 cap_inheritable;
	__aligned_u64 cap_permitted;
	__aligned_u64 cap_effective;
	__aligned_u64 cap_bounding;
	__aligned_u64 cap_ambient;
	__u32 securebits;

	__u32 no_new_privs;
	__u32 seccomp_mode;
	__u32 seccomp_filters;

	__aligned_u64 cutime_ns;
	__aligned_u64 cstime_ns;
	__aligned_u64 cmin_flt;
	__aligned_u64 cmaj_flt;

	__aligned_u64 runtime_ns;
	__aligned_u64 run_delay_ns;
	__aligned_u64 timeslices;
	__u32 cpu;

	__s32 oom_score_adj;
	__aligned_u64 rss_anon;
	__aligned_u64 rss_file;
	__aligned_u64 rss_shmem;
	__aligned_u64 swap;
	__aligned_u64 rss_peak;
	__aligned_u64 vsize_peak;
	__aligned_u64 locked;
	__aligned_u64 pinned;
	__aligned_u64 page_tables;
	__aligned_u64 data;
	__aligned_u64 stack_size;
	__aligned_u64 text;

	__aligned_u64 syscr;
	__aligned_u64 syscw;
	__aligned_u64 cancelled_write_bytes;

	__u32 tty;
	__s32 tpgid;
	__s32 tracer_pid;
	__u32 open_files;

	__u32 ns_cgroup;
	__u32 ns_ipc;
	__u32 ns_mnt;
	__u32 ns_net;
	__u32 ns_pid;
	__u32 ns_pid_for_children;
	__u32 ns_time;
	__u32 ns_time_for_children;
	__u32 ns_user;
	__u32 ns_uts;

	struct {
		__aligned_u64 soft;
		__aligned_u64 hard;
	} limits[PID_INFO_LIMITS_LEN];
	/* PID_INFO_SIZE_VER1 */
};

#define PID_INFO_SIZE_VER0	408	/* up to and with cwd */
#define PID_INFO_SIZE_VER1	1000	/* up to and with limits */

#endif /* _UAPI_LINUX_PID_INFO_H */
