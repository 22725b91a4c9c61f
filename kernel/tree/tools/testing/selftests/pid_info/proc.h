/* SPDX-License-Identifier: GPL-2.0 */
/*
 * All that /proc tells of a task, and its comparison with all that get_pid_info()
 * tells the same caller of it.
 */
#ifndef PROC_H
#define PROC_H

#include "pid_info_test.h"

#define PF_EXITING	0x00000004
#define PF_IO_WORKER	0x00000010
#define PF_KTHREAD	0x00200000

/* More of what read_stat() reads. */
enum { TASK_FLAGS = 9 };

/* Bits of pid_info.flags that tell of the task, not of its paths. */
#define KINDS	(PID_INFO_F_KTHREAD | PID_INFO_F_USER_WORKER | PID_INFO_F_EXITING)

/* Longest cmdline, and most groups, that are compared. */
#define CMDLINE_ROOM	(192 << 10)
#define GROUPS_ROOM	1024

/* All in one buffer. */
#define PIECES_ROOM	(CMDLINE_ROOM + 4 * GROUPS_ROOM + (64 << 10))

/* Root of the default hierarchy: see mount_cgroup(). */
static int cgroup_root = -1;

struct link {
	int len;		/* or an error */
	char path[PATH_MAX];
};

enum { RCHAR, WCHAR, SYSCR, SYSCW, READ_BYTES, WRITE_BYTES, CANCELLED, IO_FIELDS };

enum {
	NS_CGROUP, NS_IPC, NS_MNT, NS_NET, NS_PID, NS_PID_FOR_CHILDREN, NS_TIME,
	NS_TIME_FOR_CHILDREN, NS_USER, NS_UTS, NS_FIELDS
};

enum {
	VM_PEAK, VM_LOCKED, VM_PINNED, VM_HWM, VM_ANON, VM_FILE, VM_SHMEM, VM_DATA,
	VM_STACK, VM_TEXT, VM_PTE, VM_SWAP, VM_FIELDS
};

enum { SIG_PND, SHD_PND, SIG_BLK, SIG_IGN_SET, SIG_CGT, SIG_FIELDS };

enum { CAP_INH, CAP_PRM, CAP_EFF, CAP_BND, CAP_AMB, CAP_FIELDS };

struct witness {
	struct stat_line stat;
	struct stat_line mm_stat;	/* of the thread whose memory is told */
	__u64 tgid, tracer, uid[4], gid[4];
	__u64 sig[SIG_FIELDS], queued, queue_limit;
	__u64 cap[CAP_FIELDS];
	__u64 no_new_privs, seccomp_mode, seccomp_filters;
	__u64 nvcsw, nivcsw, runtime;
	int io_error;
	__u64 io[IO_FIELDS];
	int sp_error;
	__u64 sp;
	int fd_error;
	__u64 open_files;
	int ns_error;
	__u64 ns[NS_FIELDS];
	__u64 cgroup_id;
	__u64 limit[2 * PID_INFO_LIMITS_LEN];
	__u64 vm[VM_FIELDS];
	__u64 oom_score_adj;
	struct link root, cwd, exe;
	unsigned int groups_len, nspids_len;
	__u32 groups[GROUPS_ROOM];
	__s32 nspids[33];
	size_t cmdline_len;
	char cmdline[CMDLINE_ROOM];
};

static inline void read_link(int dir, const char *name, struct link *link)
{
	link->len = link_at(dir, name, link->path);
	if (link->len >= 0)
		link->path[link->len] = '\0';
}

/* Give the test a file system of its own, with the cgroups in it. */
static inline void place(void)
{
	scratch();
	cgroup_root = mount_cgroup();
	shared->failures = 0;
}

/* The numbers of the line that starts with @key; how many. */
static inline unsigned int numbers_of(const char *text, const char *key, __u32 *numbers,
				      unsigned int room)
{
	const char *at = line_of(text, key);
	unsigned int count = 0;
	char *end;

	must(at);
	for (;;) {
		at += strspn(at, " \t");
		if (*at == '\n' || !*at)
			return count;
		must(count < room);
		numbers[count++] = strtoul(at, &end, 10);
		must(end > at);
		at = end;
	}
}

static inline void witness_status(const char *text, struct witness *w)
{
	static const char *const signals[] = {
		"SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:"
	};
	static const char *const caps[] = {
		"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"
	};
	unsigned int i;

	w->tgid = number_of(text, "Tgid:", 10);
	w->tracer = number_of(text, "TracerPid:", 10);
	must(sscanf(line_of(text, "Uid:"), "%llu %llu %llu %llu", &w->uid[0], &w->uid[1],
		    &w->uid[2], &w->uid[3]) == 4);
	must(sscanf(line_of(text, "Gid:"), "%llu %llu %llu %llu", &w->gid[0], &w->gid[1],
		    &w->gid[2], &w->gid[3]) == 4);
	w->groups_len = numbers_of(text, "Groups:", w->groups, GROUPS_ROOM);
	w->nspids_len = numbers_of(text, "NSpid:", (__u32 *)w->nspids,
				   ARRAY_SIZE(w->nspids));
	for (i = 0; i < SIG_FIELDS; i++)
		w->sig[i] = number_of(text, signals[i], 16);
	must(sscanf(line_of(text, "SigQ:"), "%llu/%llu", &w->queued, &w->queue_limit) == 2);
	for (i = 0; i < CAP_FIELDS; i++)
		w->cap[i] = number_of(text, caps[i], 16);
	w->no_new_privs = number_of(text, "NoNewPrivs:", 10);
	/* These two depend on the configuration. */
	if (line_of(text, "Seccomp:"))
		w->seccomp_mode = number_of(text, "Seccomp:", 10);
	if (line_of(text, "Seccomp_filters:"))
		w->seccomp_filters = number_of(text, "Seccomp_filters:", 10);
	w->nvcsw = number_of(text, "voluntary_ctxt_switches:", 10);
	w->nivcsw = number_of(text, "nonvoluntary_ctxt_switches:", 10);
}

/* Switches of a process: those of its threads. None may have ended. */
static inline void witness_switches(int dir, struct witness *w)
{
	char name[300], text[16384];
	struct dirent *entry;
	DIR *tasks;

	tasks = fdopendir(openat(dir, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	must(tasks);
	w->nvcsw = 0;
	w->nivcsw = 0;
	while ((entry = readdir(tasks))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "task/%s/status", entry->d_name);
		must(!read_at(dir, name, text, sizeof(text)));
		w->nvcsw += number_of(text, "voluntary_ctxt_switches:", 10);
		w->nivcsw += number_of(text, "nonvoluntary_ctxt_switches:", 10);
	}
	closedir(tasks);
}

static inline void witness_io(int dir, struct witness *w)
{
	static const char *const keys[] = {
		"rchar:", "wchar:", "syscr:", "syscw:", "read_bytes:", "write_bytes:",
		"cancelled_write_bytes:"
	};
	char text[1024];
	unsigned int i;

	w->io_error = read_at(dir, "io", text, sizeof(text));
	for (i = 0; !w->io_error && i < IO_FIELDS; i++)
		w->io[i] = number_of(text, keys[i], 10);
}

/* The last but one number, if any: "running" has none. */
static inline void witness_sp(int dir, struct witness *w)
{
	char text[1024], *end;

	w->sp_error = read_at(dir, "syscall", text, sizeof(text));
	end = w->sp_error ? NULL : strrchr(text, ' ');
	if (!end)
		return;
	*end = '\0';
	w->sp = strtoull(strrchr(text, ' '), NULL, 16);
}

/* By fdinfo: the folder fd opens for some who may not read the task's memory. */
static inline void witness_files(int dir, struct witness *w)
{
	int fd = openat(dir, "fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	DIR *files;

	if (fd < 0) {
		w->fd_error = -errno;
		return;
	}
	files = fdopendir(fd);
	must(files);
	errno = 0;
	while ((entry = readdir(files)))
		w->open_files += entry->d_name[0] != '.';
	w->fd_error = -errno;
	closedir(files);
}

static inline void witness_namespaces(int dir, struct witness *w)
{
	static const char *const names[] = {
		"ns/cgroup", "ns/ipc", "ns/mnt", "ns/net", "ns/pid", "ns/pid_for_children",
		"ns/time", "ns/time_for_children", "ns/user", "ns/uts"
	};
	struct link link;
	unsigned int i;

	for (i = 0; i < NS_FIELDS; i++) {
		read_link(dir, names[i], &link);
		if (link.len > 0)
			w->ns[i] = strtoull(strchr(link.path, '[') + 1, NULL, 10);
		if (i == NS_MNT)
			w->ns_error = link.len < 0 ? link.len : 0;
	}
}

static inline void witness_cgroup(int dir, struct witness *w)
{
	char text[8192], where[1024];
	const char *path;
	struct stat group;

	if (cgroup_root < 0 || read_at(dir, "cgroup", text, sizeof(text)))
		return;
	path = line_of(text, "0::");
	must(path);
	snprintf(where, sizeof(where), ".%.*s", (int)strcspn(path, "\n"), path);
	must(!fstatat(cgroup_root, where, &group, 0));
	w->cgroup_id = group.st_ino;
}

static inline void witness_limits(int dir, struct witness *w)
{
	char text[4096], *line, soft[24], hard[24];
	unsigned int i;

	must(!read_at(dir, "limits", text, sizeof(text)));
	line = text;
	for (i = 0; i < PID_INFO_LIMITS_LEN; i++) {
		line = strchr(line, '\n') + 1;
		/* Behind a name of fixed width. */
		must(sscanf(line + 26, "%20s %20s", soft, hard) == 2);
		w->limit[2 * i] = *soft == 'u' ? ~0ULL : strtoull(soft, NULL, 10);
		w->limit[2 * i + 1] = *hard == 'u' ? ~0ULL : strtoull(hard, NULL, 10);
	}
}

/*
 * The folder of a living thread of the process in @dir, whose main thread has
 * ended; @dir itself if there is none.
 */
static inline int living_thread(int dir)
{
	struct stat_line line;
	struct dirent *entry;
	int found = dir;
	DIR *tasks;

	tasks = fdopendir(openat(dir, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	must(tasks);
	while (found == dir && (entry = readdir(tasks))) {
		if (entry->d_name[0] == '.')
			continue;
		found = openat(dirfd(tasks), entry->d_name,
			       O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		must(found >= 0 && read_stat(found, &line));
		if (line.state == 'Z') {
			close(found);
			found = dir;
		}
	}
	closedir(tasks);
	return found;
}

/* What its memory is, by the files of a thread that has it. */
static inline void witness_memory(int dir, struct witness *w)
{
	static const char *const keys[] = {
		"VmPeak:", "VmLck:", "VmPin:", "VmHWM:", "RssAnon:", "RssFile:", "RssShmem:",
		"VmData:", "VmStk:", "VmExe:", "VmPTE:", "VmSwap:"
	};
	char text[16384];
	unsigned int i;
	ssize_t got;
	int fd;

	must(read_stat(dir, &w->mm_stat));
	must(!read_at(dir, "status", text, sizeof(text)));
	for (i = 0; line_of(text, "VmPeak:") && i < VM_FIELDS; i++)
		w->vm[i] = number_of(text, keys[i], 10) << 10;
	read_link(dir, "exe", &w->exe);
	fd = openat(dir, "cmdline", O_RDONLY | O_CLOEXEC);
	must(fd >= 0);
	while ((got = read(fd, w->cmdline + w->cmdline_len,
			   CMDLINE_ROOM - w->cmdline_len)) > 0)
		w->cmdline_len += got;
	must(!got && w->cmdline_len < CMDLINE_ROOM);
	close(fd);
}

/* The CPU time of all threads of a process, those that have ended included. */
static inline __u64 process_runtime(pid_t pid)
{
	clockid_t clock;

	must(!clock_getcpuclockid(pid, &clock));
	return clock_ns(clock);
}

/*
 * Fill *@w from @path, a task's folder below the directory @proc: of the process
 * if it is @whole, else of the thread.
 */
static inline void witness(pid_t pid, bool whole, int proc, const char *path,
			   struct witness *w)
{
	int dir = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), memory = dir;
	static char text[32768];

	must(dir >= 0);
	memset(w, 0, sizeof(*w));
	must(read_stat(dir, &w->stat));
	must(!read_at(dir, "status", text, sizeof(text)));
	witness_status(text, w);
	if (whole) {
		witness_switches(dir, w);
		w->runtime = process_runtime(pid);
		if (w->stat.state == 'Z')
			memory = living_thread(dir);
	}
	witness_io(dir, w);
	witness_sp(dir, w);
	witness_files(dir, w);
	witness_namespaces(dir, w);
	witness_cgroup(dir, w);
	witness_limits(dir, w);
	witness_memory(memory, w);
	must(!read_at(dir, "oom_score_adj", text, sizeof(text)));
	w->oom_score_adj = strtoull(text, NULL, 10);
	read_link(dir, "root", &w->root);
	read_link(dir, "cwd", &w->cwd);
	if (memory != dir)
		close(memory);
	close(dir);
}

/* Tell that /proc and the call differ. Returns whether they do. */
static inline bool differ(const char *path, const char *what, __u64 proc, __u64 told)
{
	if (proc != told)
		fprintf(stderr, "# %s: %s: %llu (%llx) in /proc, told %llu (%llx)\n", path,
			what, proc, proc, told, told);
	return proc != told;
}

static inline bool refused(int error)
{
	return error == -EACCES || error == -EPERM;
}

/* The groups that the witness, and who may read what it may, cannot be told. */
static inline __u64 denied_by(const struct witness *w)
{
	/* The file io of a zombie is root's, whoever may read it: ask a link. */
	__u64 mask = refused(w->root.len) ? READ_GROUPS : 0;

	if (w->stat.state == 'Z' ? !!mask : refused(w->sp_error))
		mask |= ATTACH_GROUPS;
	return mask;
}

/* The groups that the witness has not got. */
static inline __u64 missing_by(const struct witness *w)
{
	__u64 mask = 0;

	/* The id of a process goes only with the last of its threads. */
	if (w->stat.state != 'Z' || w->stat.field[NUM_THREADS] > 1)
		mask |= PID_INFO_EXIT;
	if (w->stat.state == 'Z')
		mask |= PID_INFO_ROOT | PID_INFO_CWD | PID_INFO_NAMESPACES | PID_INFO_FILES;
	if (!w->mm_stat.field[VSIZE])
		mask |= PID_INFO_MEM | PID_INFO_STACK | PID_INFO_EXE | PID_INFO_CMDLINE |
			PID_INFO_MEMSTAT;
	if (!w->sp)
		mask |= PID_INFO_SP;
	return mask;
}

/* Does the file of /proc refuse exactly the group that is denied? */
static inline unsigned int compare_refusal(const char *path, const struct pid_info *info,
					   const struct witness *w)
{
	const struct {
		const char *name;
		__u64 bits;
		int error;
	} rows[] = {
		{ "io refused", PID_INFO_IO | PID_INFO_BLOCKIO, w->io_error },
		{ "root refused", PID_INFO_ROOT, w->root.len },
		{ "cwd refused", PID_INFO_CWD, w->cwd.len },
		{ "exe refused", PID_INFO_EXE, w->exe.len },
		{ "ns refused", PID_INFO_NAMESPACES, w->ns_error },
		{ "fdinfo refused", PID_INFO_FILES, w->fd_error },
		{ "syscall refused", PID_INFO_SP, w->sp_error },
	};
	unsigned int i, count = 0;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		__u64 bits = rows[i].bits & info->supported;

		count += differ(path, rows[i].name, refused(rows[i].error) ? bits : 0,
				info->denied & rows[i].bits);
	}
	return count;
}

/* A path: told, and as the link has it. */
static inline unsigned int compare_path(const char *path, const char *what,
					const struct link *link, char *buffer,
					struct pid_info_data data)
{
	const char *told = piece(buffer, data);
	unsigned int count;

	/* What is too long for a link is told all the same. */
	if (link->len == -ENAMETOOLONG)
		return differ(path, what, true, data.size > PATH_MAX);
	must(link->len >= 0);
	count = differ(path, what, link->len + 1, data.size);
	return count + differ(path, what, true, told && !strcmp(link->path, told));
}

static inline unsigned int compare_bytes(const char *path, const char *what,
					 const void *bytes, size_t size, char *buffer,
					 struct pid_info_data data)
{
	const char *told = piece(buffer, data);

	if (differ(path, what, size, data.size))
		return 1;
	return differ(path, what, true, told && !memcmp(bytes, told, size));
}

static inline unsigned int compare_pieces(const char *path, const struct witness *w,
					  const struct pid_info *info, char *buffer)
{
	unsigned int count = 0;

	if (info->filled & PID_INFO_ROOT)
		count += compare_path(path, "root", &w->root, buffer, info->root);
	if (info->filled & PID_INFO_CWD)
		count += compare_path(path, "cwd", &w->cwd, buffer, info->cwd);
	if (info->filled & PID_INFO_EXE)
		count += compare_path(path, "exe", &w->exe, buffer, info->exe);
	if (info->filled & PID_INFO_CMDLINE)
		count += compare_bytes(path, "cmdline", w->cmdline, w->cmdline_len, buffer,
				       info->cmdline);
	count += compare_bytes(path, "name", w->stat.comm, strlen(w->stat.comm) + 1, buffer,
			       info->name);
	count += compare_bytes(path, "groups", w->groups, 4 * w->groups_len, buffer,
			       info->groups);
	count += compare_bytes(path, "nspids", w->nspids, 4 * w->nspids_len, buffer,
			       info->nspids);
	return count;
}

/* What one counter for each processor may have and the sum has not got yet. */
static inline bool is_near(__u64 proc, __u64 told)
{
	__u64 cpus = sysconf(_SC_NPROCESSORS_CONF), each = 2 * cpus > 64 ? 2 * cpus : 64;
	__u64 slack = 3 * cpus * each * sysconf(_SC_PAGESIZE);

	return told <= proc + slack && proc <= told + slack;
}

static inline __u32 flags_by(const struct witness *w)
{
	__u64 flags = w->stat.field[TASK_FLAGS];

	return (flags & PF_KTHREAD ? PID_INFO_F_KTHREAD : 0) |
	       (flags & PF_IO_WORKER ? PID_INFO_F_USER_WORKER : 0) |
	       (flags & PF_EXITING ? PID_INFO_F_EXITING : 0);
}

/*
 * Ask for all of @pid and compare it with the folder @path of @proc. Returns how
 * many differences there are. What both tell changes while a task runs: take a
 * moment in which /proc said the same before and after.
 */
static inline unsigned int compare_at(pid_t pid, unsigned int flags, int proc,
				      const char *path)
{
	const __u64 page = sysconf(_SC_PAGESIZE), tick = 1000000000 / sysconf(_SC_CLK_TCK);
	static char pieces[PIECES_ROOM];
	bool whole = !(flags & PID_INFO_THREAD);
	static struct witness w, after;
	unsigned int i, count = 0;
	struct pid_info info;
	int tries = 50;
	__u64 filled;

	do {
		witness(pid, whole, proc, path, &w);
		must(!ask_into(pid, ALL, &info, flags, pieces, sizeof(pieces)));
		witness(pid, whole, proc, path, &after);
	} while (memcmp(&w, &after, sizeof(w)) && --tries);
	must(tries);

	count += differ(path, "denied", denied_by(&w) & info.supported, info.denied);
	filled = info.supported & ~info.denied & ~missing_by(&w);
	count += differ(path, "filled", filled, info.filled);
	count += differ(path, "size", sizeof(info), info.size);
	count += differ(path, "stale bytes", 0, stale_bytes(&info));
	count += differ(path, "flags", flags_by(&w), info.flags & KINDS);
	/* Of a kernel thread /proc shows a longer name. */
	count += differ(path, "comm", 0,
			strncmp(w.stat.comm, info.comm, PID_INFO_COMM_LEN - 1));
	if (w.stat.state != 'Z')
		count += compare_refusal(path, &info, &w);

#define STAT(bit, what, nr)		{ #what, bit, w.stat.field[nr], info.what }
#define ROW(bit, what, proc)		{ #what, bit, proc, info.what }
	const struct {
		const char *name;
		__u64 bit;
		__u64 proc;
		__u64 told;
	} rows[] = {
		ROW(PID_INFO_IDENT, state, w.stat.state),
		ROW(PID_INFO_IDENT, pid, pid),
		ROW(PID_INFO_IDENT, tgid, w.tgid),
		STAT(PID_INFO_IDENT, ppid, PPID),
		STAT(PID_INFO_IDENT, num_threads, NUM_THREADS),
		STAT(PID_INFO_IDENT, exit_signal, EXIT_SIGNAL),
		{ "start", PID_INFO_IDENT, w.stat.field[START], info.start_ns / tick },
		STAT(PID_INFO_PGRP, pgid, PGRP),
		STAT(PID_INFO_SESSION, sid, SESSION),
		ROW(PID_INFO_CREDS, uid, w.uid[0]),
		ROW(PID_INFO_CREDS, euid, w.uid[1]),
		ROW(PID_INFO_CREDS, suid, w.uid[2]),
		ROW(PID_INFO_CREDS, fsuid, w.uid[3]),
		ROW(PID_INFO_CREDS, gid, w.gid[0]),
		ROW(PID_INFO_CREDS, egid, w.gid[1]),
		ROW(PID_INFO_CREDS, sgid, w.gid[2]),
		ROW(PID_INFO_CREDS, fsgid, w.gid[3]),
		{ "utime", PID_INFO_TIMES, w.stat.field[UTIME], info.utime_ns / tick },
		{ "stime", PID_INFO_TIMES, w.stat.field[STIME], info.stime_ns / tick },
		STAT(PID_INFO_SCHED, policy, POLICY),
		STAT(PID_INFO_SCHED, nice, NICE),
		STAT(PID_INFO_SCHED, priority, PRIORITY),
		STAT(PID_INFO_SCHED, rt_priority, RT_PRIORITY),
		ROW(PID_INFO_SWITCHES, nvcsw, w.nvcsw),
		ROW(PID_INFO_SWITCHES, nivcsw, w.nivcsw),
		STAT(PID_INFO_FAULTS, min_flt, MIN_FLT),
		STAT(PID_INFO_FAULTS, maj_flt, MAJ_FLT),
		ROW(PID_INFO_MEM, vsize, w.mm_stat.field[VSIZE]),
		ROW(PID_INFO_IO, rchar, w.io[RCHAR]),
		ROW(PID_INFO_IO, wchar, w.io[WCHAR]),
		ROW(PID_INFO_IO, read_bytes, w.io[READ_BYTES]),
		ROW(PID_INFO_IO, write_bytes, w.io[WRITE_BYTES]),
		ROW(PID_INFO_SIGNALS, sig_pending, w.sig[SIG_PND]),
		ROW(PID_INFO_SIGNALS, sig_shared_pending, w.sig[SHD_PND]),
		ROW(PID_INFO_SIGNALS, sig_blocked, w.sig[SIG_BLK]),
		ROW(PID_INFO_SIGNALS, sig_ignored, w.sig[SIG_IGN_SET]),
		ROW(PID_INFO_SIGNALS, sig_caught, w.sig[SIG_CGT]),
		ROW(PID_INFO_SIGNALS, sigq_len, w.queued),
		ROW(PID_INFO_SIGNALS, sigq_limit, w.queue_limit),
		ROW(PID_INFO_CGROUP, cgroup_id, cgroup_root < 0 ? info.cgroup_id : w.cgroup_id),
		ROW(PID_INFO_STACK, stack, w.mm_stat.field[STACK]),
		ROW(PID_INFO_SP, sp, w.sp),
		STAT(PID_INFO_EXIT, exit_code, EXIT_CODE),
		ROW(PID_INFO_CAPS, cap_inheritable, w.cap[CAP_INH]),
		ROW(PID_INFO_CAPS, cap_permitted, w.cap[CAP_PRM]),
		ROW(PID_INFO_CAPS, cap_effective, w.cap[CAP_EFF]),
		ROW(PID_INFO_CAPS, cap_bounding, w.cap[CAP_BND]),
		ROW(PID_INFO_CAPS, cap_ambient, w.cap[CAP_AMB]),
		ROW(PID_INFO_SECCOMP, no_new_privs, w.no_new_privs),
		ROW(PID_INFO_SECCOMP, seccomp_mode, w.seccomp_mode),
		ROW(PID_INFO_SECCOMP, seccomp_filters, w.seccomp_filters),
		{ "cutime", PID_INFO_CTIMES, w.stat.field[CUTIME], info.cutime_ns / tick },
		{ "cstime", PID_INFO_CTIMES, w.stat.field[CSTIME], info.cstime_ns / tick },
		STAT(PID_INFO_CTIMES, cmin_flt, CMIN_FLT),
		STAT(PID_INFO_CTIMES, cmaj_flt, CMAJ_FLT),
		STAT(PID_INFO_CPU, cpu, CPU),
		ROW(PID_INFO_CPU, runtime_ns, whole ? w.runtime : info.runtime_ns),
		ROW(PID_INFO_MEMSTAT, oom_score_adj, w.oom_score_adj),
		ROW(PID_INFO_MEMSTAT, vsize_peak, w.vm[VM_PEAK]),
		ROW(PID_INFO_MEMSTAT, locked, w.vm[VM_LOCKED]),
		ROW(PID_INFO_MEMSTAT, pinned, w.vm[VM_PINNED]),
		ROW(PID_INFO_MEMSTAT, page_tables, w.vm[VM_PTE]),
		ROW(PID_INFO_MEMSTAT, data, w.vm[VM_DATA]),
		ROW(PID_INFO_MEMSTAT, stack_size, w.vm[VM_STACK]),
		ROW(PID_INFO_MEMSTAT, text, w.vm[VM_TEXT]),
		ROW(PID_INFO_BLOCKIO, syscr, w.io[SYSCR]),
		ROW(PID_INFO_BLOCKIO, syscw, w.io[SYSCW]),
		ROW(PID_INFO_BLOCKIO, cancelled_write_bytes, w.io[CANCELLED]),
		STAT(PID_INFO_TTY, tty, TTY_NR),
		STAT(PID_INFO_TTY, tpgid, TPGID),
		ROW(PID_INFO_TRACER, tracer_pid, w.tracer),
		ROW(PID_INFO_FILES, open_files, w.open_files),
		ROW(PID_INFO_NAMESPACES, ns_cgroup, w.ns[NS_CGROUP]),
		ROW(PID_INFO_NAMESPACES, ns_ipc, w.ns[NS_IPC]),
		ROW(PID_INFO_NAMESPACES, ns_mnt, w.ns[NS_MNT]),
		ROW(PID_INFO_NAMESPACES, ns_net, w.ns[NS_NET]),
		ROW(PID_INFO_NAMESPACES, ns_pid, w.ns[NS_PID]),
		ROW(PID_INFO_NAMESPACES, ns_pid_for_children, w.ns[NS_PID_FOR_CHILDREN]),
		ROW(PID_INFO_NAMESPACES, ns_time, w.ns[NS_TIME]),
		ROW(PID_INFO_NAMESPACES, ns_time_for_children, w.ns[NS_TIME_FOR_CHILDREN]),
		ROW(PID_INFO_NAMESPACES, ns_user, w.ns[NS_USER]),
		ROW(PID_INFO_NAMESPACES, ns_uts, w.ns[NS_UTS]),
	};
#undef ROW
#undef STAT
	/* One sum in /proc, one estimate there or here: see is_near(). */
	const struct {
		const char *name;
		__u64 bit;
		__u64 proc;
		__u64 told;
	} near[] = {
		{ "rss", PID_INFO_MEM, w.mm_stat.field[RSS] * page, info.rss },
		{ "rss_anon", PID_INFO_MEMSTAT, w.vm[VM_ANON], info.rss_anon },
		{ "rss_file", PID_INFO_MEMSTAT, w.vm[VM_FILE], info.rss_file },
		{ "rss_shmem", PID_INFO_MEMSTAT, w.vm[VM_SHMEM], info.rss_shmem },
		{ "rss_peak", PID_INFO_MEMSTAT, w.vm[VM_HWM], info.rss_peak },
		{ "swap", PID_INFO_MEMSTAT, w.vm[VM_SWAP], info.swap },
	};

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (info.filled & rows[i].bit)
			count += differ(path, rows[i].name, rows[i].proc, rows[i].told);
	for (i = 0; i < ARRAY_SIZE(near); i++)
		if ((info.filled & near[i].bit) && !is_near(near[i].proc, near[i].told))
			count += differ(path, near[i].name, near[i].proc, near[i].told);
	for (i = 0; (info.filled & PID_INFO_LIMITS) && i < PID_INFO_LIMITS_LEN; i++) {
		count += differ(path, "soft limit", w.limit[2 * i], info.limits[i].soft);
		count += differ(path, "hard limit", w.limit[2 * i + 1], info.limits[i].hard);
	}
	return count + compare_pieces(path, &w, &info, pieces);
}

static inline unsigned int compare(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return compare_at(pid, 0, AT_FDCWD, path);
}

static inline unsigned int compare_thread(pid_t pid, pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, tid);
	return compare_at(tid, PID_INFO_THREAD, AT_FDCWD, path);
}

/* Write @text to @path. Returns 0 or an error. */
static inline int write_error(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* A setting of the whole system that a test changes. */
struct guard {
	pid_t pid;
	int end;
};

/*
 * Put the setting @path back to what it is now when the test ends, however it
 * ends: a process of its own waits for that.
 */
static inline struct guard guard(const char *path)
{
	struct guard guard;
	char old[64], byte;
	int ends[2];

	must(!read_at(AT_FDCWD, path, old, sizeof(old)));
	must(!pipe2(ends, O_CLOEXEC));
	guard.pid = spawn();
	if (!guard.pid) {
		/* Nothing of the test's is kept open, nor gets at it. */
		must(setsid() > 0 && dup2(ends[0], 0) == 0 && !close_range(3, ~0U, 0));
		must(!read(0, &byte, 1));
		_exit(write_error(path, old) ? KSFT_FAIL : 0);
	}
	close(ends[0]);
	guard.end = ends[1];
	return guard;
}

/* Once all who were started meanwhile have ended: they keep its pipe open. */
static inline void unguard(struct guard guard)
{
	close(guard.end);
	must(!reap(guard.pid));
}

/* This program as @path, with the mode @mode. */
static inline void copy_self(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	char buffer[65536];
	ssize_t got;

	must(from >= 0 && to >= 0);
	while ((got = read(from, buffer, sizeof(buffer))) > 0)
		must(write(to, buffer, got) == got);
	/* The change of its owner takes set-uid bits away. */
	must(!got && !fchown(to, uid, gid) && !fchmod(to, mode));
	close(from);
	close(to);
}

#endif /* PROC_H */
