// SPDX-License-Identifier: GPL-2.0
/* pidinfo: shows what get_pid_info(2) tells of processes; see pidinfo(1). */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/pid_info.h>

#define NR_get_pid_info	548

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof(*(array)))

enum {
	STATUS_NO_PROCESS = 1,
	STATUS_USAGE = 2,
	STATUS_NO_CALL = 3,
	STATUS_FAILED = 4,
};

/* By bit; PID_INFO_REAPED is for those who have a pidfd. */
static const char *const groups[] = {
	"IDENT", "PGRP", "SESSION", "INODE", "CREDS", "TIMES", "SCHED",
	"SWITCHES", "FAULTS", "MEM", "IO", "SIGNALS", "EXIT", "CGROUP",
	"STACK", "SP", "CHILDREN", "ROOT", "CWD", "EXE", "CMDLINE", "NAME",
	"GROUPS", "NSPIDS", "CAPS", "SECCOMP", "CTIMES", "CPU", "MEMSTAT",
	"BLOCKIO", "TTY", "TRACER", "NAMESPACES", "FILES", "LIMITS",
};

#define EVERY_GROUP	((1ULL << ARRAY_SIZE(groups)) - 1)

static_assert(PID_INFO_LIMITS * 2 - 1 == EVERY_GROUP, "a name for each group");

static const char *const flags[] = {
	"kthread", "user_worker", "exiting", "root_deleted", "cwd_deleted",
	"exe_deleted", "root_outside", "cwd_outside", "exe_outside",
};

static const char *const policies[] = {
	"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR", "SCHED_BATCH", NULL,
	"SCHED_IDLE", "SCHED_DEADLINE", "SCHED_EXT",
};

static const char *const seccomp_modes[] = { "disabled", "strict", "filter" };

static const char *const limits[PID_INFO_LIMITS_LEN] = {
	"cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile",
	"memlock", "as", "locks", "sigpending", "msgqueue", "nice", "rtprio",
	"rttime",
};

/* For strings, lists and records. */
static char *buffer;
static __u32 room;

static void make_room(__u32 needed)
{
	buffer = realloc(buffer, needed);
	if (!buffer) {
		fprintf(stderr, "pidinfo: no memory\n");
		exit(STATUS_FAILED);
	}
	room = needed;
}

static long get_pid_info(pid_t pid, struct pid_info *info, unsigned int how)
{
	info->buffer = (uintptr_t)buffer;
	info->buffer_size = room;
	return syscall(NR_get_pid_info, pid, info, sizeof(*info), how);
}

/* Bytes that a process chose: none reaches a terminal that it could obey. */
static void put_escaped(FILE *to, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char byte = bytes[i];

		if (byte == '\\')
			fputs("\\\\", to);
		else if (byte >= ' ' && byte <= '~')
			putc(byte, to);
		else
			fprintf(to, "\\x%02x", byte);
	}
}

/*
 * The fields, each by a function that is given its place, and the start of what
 * strings and lists count from
 */

static __u32 u32_at(const void *field)
{
	return *(const __u32 *)field;
}

static __u64 u64_at(const void *field)
{
	return *(const __u64 *)field;
}

static void put_s32(const void *field, const char *start)
{
	(void)start;
	printf("%d", *(const __s32 *)field);
}

static void put_u32(const void *field, const char *start)
{
	(void)start;
	printf("%u", u32_at(field));
}

static void put_u64(const void *field, const char *start)
{
	(void)start;
	printf("%llu", u64_at(field));
}

static void put_hex32(const void *field, const char *start)
{
	(void)start;
	printf("%#x", u32_at(field));
}

static void put_hex64(const void *field, const char *start)
{
	(void)start;
	printf("%#llx", u64_at(field));
}

static void put_ns(const void *field, const char *start)
{
	__u64 ns = u64_at(field);

	(void)start;
	printf("%llu.%09llu s", ns / 1000000000, ns % 1000000000);
}

static void put_bytes(const void *field, const char *start)
{
	static const char units[] = "KMGTPE";
	__u64 bytes = u64_at(field);
	double scaled = bytes;
	int unit = -1;

	(void)start;
	for (; scaled >= 1024; unit++)
		scaled /= 1024;
	printf("%llu", bytes);
	if (unit >= 0)
		printf(" (%.1f %ciB)", scaled, units[unit]);
}

static void put_named(__u32 value, const char *const *names, size_t count)
{
	if (value < count && names[value])
		fputs(names[value], stdout);
	else
		printf("%u", value);
}

static void put_policy(const void *field, const char *start)
{
	(void)start;
	put_named(u32_at(field), policies, ARRAY_SIZE(policies));
}

static void put_seccomp(const void *field, const char *start)
{
	(void)start;
	put_named(u32_at(field), seccomp_modes, ARRAY_SIZE(seccomp_modes));
}

/* The names of the bits that are set, with a space between two. */
static void put_bits(__u64 set, const char *const *names, size_t count)
{
	bool several = false;

	if (!set)
		fputs("none", stdout);
	for (unsigned int bit = 0; bit < 64; bit++) {
		if (!(set >> bit & 1))
			continue;
		if (several)
			putchar(' ');
		several = true;
		if (bit < count)
			fputs(names[bit], stdout);
		else
			printf("%u", bit);
	}
}

static void put_flags(const void *field, const char *start)
{
	(void)start;
	put_bits(u32_at(field), flags, ARRAY_SIZE(flags));
}

static void put_signal(int signal)
{
	const char *name = sigabbrev_np(signal);

	if (name)
		printf("SIG%s", name);
	else if (signal == SIGRTMIN)
		fputs("SIGRTMIN", stdout);
	else if (signal > SIGRTMIN)
		printf("SIGRTMIN+%d", signal - SIGRTMIN);
	else
		printf("%d", signal);
}

static void put_one_signal(const void *field, const char *start)
{
	__s32 signal = *(const __s32 *)field;

	if (signal > 0)
		put_signal(signal);
	else
		put_s32(field, start);
}

static void put_signals(const void *field, const char *start)
{
	__u64 set = u64_at(field);
	bool several = false;

	(void)start;
	if (!set)
		fputs("none", stdout);
	for (int signal = 1; signal <= 64; signal++) {
		if (!(set >> (signal - 1) & 1))
			continue;
		if (several)
			putchar(' ');
		several = true;
		put_signal(signal);
	}
}

static void put_state(const void *field, const char *start)
{
	static const char letters[] = "RSDTtXZPI";
	static const char *const words[] = {
		"running", "sleeping", "disk sleep", "stopped", "tracing stop",
		"dead", "zombie", "parked", "idle",
	};
	char letter = u32_at(field);
	const char *found = strchr(letters, letter);

	(void)start;
	put_escaped(stdout, &letter, 1);
	if (letter && found)
		printf(" (%s)", words[found - letters]);
}

static void put_exit(const void *field, const char *start)
{
	int status = *(const __s32 *)field;

	(void)start;
	if (WIFSIGNALED(status)) {
		put_signal(WTERMSIG(status));
		if (WCOREDUMP(status))
			fputs(" (core dumped)", stdout);
	} else {
		printf("%d", WEXITSTATUS(status));
	}
}

/* As the kernel's new_encode_dev() has it. */
static void put_tty(const void *field, const char *start)
{
	__u32 tty = u32_at(field);

	(void)start;
	if (tty)
		printf("%u:%u", tty >> 8 & 0xfff, (tty & 0xff) | (tty >> 12 & 0xfff00));
	else
		fputs("none", stdout);
}

static void put_comm(const void *field, const char *start)
{
	(void)start;
	put_escaped(stdout, field, strnlen(field, PID_INFO_COMM_LEN));
}

static void put_string(const void *field, const char *start)
{
	const struct pid_info_data *data = field;

	if (data->offset == PID_INFO_NO_ROOM)
		fputs("(longer than 64 KiB)", stdout);
	else
		put_escaped(stdout, start + data->offset,
			    strnlen(start + data->offset, data->size));
}

/* A space after each but the last. The last may be without its NUL. */
static void put_words(const void *field, const char *start)
{
	const struct pid_info_data *data = field;
	const char *word = start + data->offset, *end = word + data->size;

	while (end > word && !end[-1])
		end--;
	while (word < end) {
		size_t size = strnlen(word, end - word);

		put_escaped(stdout, word, size);
		word += size + 1;
		if (word < end)
			putchar(' ');
	}
}

static void put_list(const struct pid_info_data *data, const char *start,
		     void (*put)(const void *, const char *))
{
	const char *at = start + data->offset, *end = at + data->size;

	if (at == end)
		fputs("none", stdout);
	for (; at < end; at += sizeof(__u32)) {
		put(at, start);
		if (at + sizeof(__u32) < end)
			putchar(' ');
	}
}

static void put_s32_list(const void *field, const char *start)
{
	put_list(field, start, put_s32);
}

static void put_u32_list(const void *field, const char *start)
{
	put_list(field, start, put_u32);
}

#define ROW(group, field, type) \
	{ #field, PID_INFO_##group, offsetof(struct pid_info, field), put_##type }

static const struct row {
	const char *name;
	__u64 group;
	size_t offset;
	void (*put)(const void *field, const char *start);
} rows[] = {
	ROW(IDENT, pid, s32),
	ROW(IDENT, tgid, s32),
	ROW(NSPIDS, nspids, s32_list),
	ROW(IDENT, ppid, s32),
	ROW(PGRP, pgid, s32),
	ROW(SESSION, sid, s32),
	ROW(TTY, tty, tty),
	ROW(TTY, tpgid, s32),
	ROW(TRACER, tracer_pid, s32),
	ROW(IDENT, state, state),
	ROW(IDENT, flags, flags),
	ROW(EXIT, exit_code, exit),
	ROW(IDENT, exit_signal, one_signal),
	ROW(IDENT, comm, comm),
	ROW(NAME, name, string),
	ROW(EXE, exe, string),
	ROW(CMDLINE, cmdline, words),
	ROW(ROOT, root, string),
	ROW(CWD, cwd, string),
	ROW(IDENT, num_threads, u32),
	ROW(CHILDREN, children, s32_list),
	ROW(IDENT, start_ns, ns),
	ROW(IDENT, age_ns, ns),
	ROW(INODE, inode, u64),
	ROW(CREDS, uid, u32),
	ROW(CREDS, euid, u32),
	ROW(CREDS, suid, u32),
	ROW(CREDS, fsuid, u32),
	ROW(CREDS, gid, u32),
	ROW(CREDS, egid, u32),
	ROW(CREDS, sgid, u32),
	ROW(CREDS, fsgid, u32),
	ROW(GROUPS, groups, u32_list),
	ROW(CAPS, cap_inheritable, hex64),
	ROW(CAPS, cap_permitted, hex64),
	ROW(CAPS, cap_effective, hex64),
	ROW(CAPS, cap_bounding, hex64),
	ROW(CAPS, cap_ambient, hex64),
	ROW(CAPS, securebits, hex32),
	ROW(SECCOMP, no_new_privs, u32),
	ROW(SECCOMP, seccomp_mode, seccomp),
	ROW(SECCOMP, seccomp_filters, u32),
	ROW(TIMES, utime_ns, ns),
	ROW(TIMES, stime_ns, ns),
	ROW(CTIMES, cutime_ns, ns),
	ROW(CTIMES, cstime_ns, ns),
	ROW(CTIMES, cmin_flt, u64),
	ROW(CTIMES, cmaj_flt, u64),
	ROW(SCHED, policy, policy),
	ROW(SCHED, nice, s32),
	ROW(SCHED, priority, s32),
	ROW(SCHED, rt_priority, u32),
	ROW(CPU, cpu, u32),
	ROW(CPU, runtime_ns, ns),
	ROW(CPU, run_delay_ns, ns),
	ROW(CPU, timeslices, u64),
	ROW(SWITCHES, nvcsw, u64),
	ROW(SWITCHES, nivcsw, u64),
	ROW(FAULTS, min_flt, u64),
	ROW(FAULTS, maj_flt, u64),
	ROW(MEM, rss, bytes),
	ROW(MEM, vsize, bytes),
	ROW(MEMSTAT, rss_anon, bytes),
	ROW(MEMSTAT, rss_file, bytes),
	ROW(MEMSTAT, rss_shmem, bytes),
	ROW(MEMSTAT, swap, bytes),
	ROW(MEMSTAT, rss_peak, bytes),
	ROW(MEMSTAT, vsize_peak, bytes),
	ROW(MEMSTAT, locked, bytes),
	ROW(MEMSTAT, pinned, bytes),
	ROW(MEMSTAT, page_tables, bytes),
	ROW(MEMSTAT, data, bytes),
	ROW(MEMSTAT, stack_size, bytes),
	ROW(MEMSTAT, text, bytes),
	ROW(MEMSTAT, oom_score_adj, s32),
	ROW(STACK, stack, hex64),
	ROW(SP, sp, hex64),
	ROW(IO, rchar, bytes),
	ROW(IO, wchar, bytes),
	ROW(IO, read_bytes, bytes),
	ROW(IO, write_bytes, bytes),
	ROW(BLOCKIO, syscr, u64),
	ROW(BLOCKIO, syscw, u64),
	ROW(BLOCKIO, cancelled_write_bytes, bytes),
	ROW(FILES, open_files, u32),
	ROW(SIGNALS, sig_pending, signals),
	ROW(SIGNALS, sig_shared_pending, signals),
	ROW(SIGNALS, sig_blocked, signals),
	ROW(SIGNALS, sig_ignored, signals),
	ROW(SIGNALS, sig_caught, signals),
	ROW(SIGNALS, sigq_len, u64),
	ROW(SIGNALS, sigq_limit, u64),
	ROW(CGROUP, cgroup_id, u64),
	ROW(NAMESPACES, ns_cgroup, u32),
	ROW(NAMESPACES, ns_ipc, u32),
	ROW(NAMESPACES, ns_mnt, u32),
	ROW(NAMESPACES, ns_net, u32),
	ROW(NAMESPACES, ns_pid, u32),
	ROW(NAMESPACES, ns_pid_for_children, u32),
	ROW(NAMESPACES, ns_time, u32),
	ROW(NAMESPACES, ns_time_for_children, u32),
	ROW(NAMESPACES, ns_user, u32),
	ROW(NAMESPACES, ns_uts, u32),
};

static void put_name(const char *name)
{
	printf("%-22s ", name);
}

static void put_limit(__u64 limit)
{
	if (limit == ~0ULL)
		fputs("unlimited", stdout);
	else
		printf("%llu", limit);
}

static void put_limits(const struct pid_info *info)
{
	for (size_t i = 0; i < PID_INFO_LIMITS_LEN; i++) {
		char name[32];

		snprintf(name, sizeof(name), "limits[%s]", limits[i]);
		put_name(name);
		put_limit(info->limits[i].soft);
		putchar(' ');
		put_limit(info->limits[i].hard);
		putchar('\n');
	}
}

static void put_groups(const char *name, __u64 set)
{
	if (!set)
		return;
	put_name(name);
	put_bits(set, groups, ARRAY_SIZE(groups));
	putchar('\n');
}

static void put_rows(const struct pid_info *info)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!(info->filled & rows[i].group))
			continue;
		put_name(rows[i].name);
		rows[i].put((const char *)info + rows[i].offset, buffer);
		putchar('\n');
	}
	if (info->filled & PID_INFO_LIMITS)
		put_limits(info);
	put_groups("denied", info->denied);
	put_groups("absent", info->supported & ~info->filled & ~info->denied);
	put_groups("unsupported", info->wanted & ~info->supported);
}

/*
 * What is asked
 */

/* Says why the last call failed; the status for that. */
static int failed(pid_t pid)
{
	int error = errno;

	fflush(stdout);
	fputs("pidinfo: ", stderr);
	if (error == ENOSYS) {
		fputs("this kernel has no get_pid_info(2)\n", stderr);
		return STATUS_NO_CALL;
	}
	if (pid)
		fprintf(stderr, "%d: ", pid);
	fprintf(stderr, "%s\n", strerror(error));
	return error == ESRCH ? STATUS_NO_PROCESS : STATUS_FAILED;
}

static int show_one(pid_t pid)
{
	struct pid_info info = { .wanted = EVERY_GROUP };
	static bool several;
	unsigned int how = 0;

	for (;;) {
		if (!get_pid_info(pid, &info, how)) {
			if (info.buffer_needed <= room)
				break;
			/* Again, of the same process. */
			info.match_start_ns = info.start_ns;
			make_room(info.buffer_needed);
		} else if (errno == ESRCH && !how) {
			how = PID_INFO_THREAD;
		} else {
			return failed(pid);
		}
	}
	if (several)
		putchar('\n');
	several = true;
	put_rows(&info);
	return 0;
}

static void put_line(const struct pid_info *record)
{
	const char *start = (const char *)record;
	__u64 hundredths = (record->utime_ns + record->stime_ns) / 10000000;

	printf("%7d %7d %10u %c %5u ", record->pid, record->ppid, record->euid,
	       (char)record->state, record->num_threads);
	if (record->filled & PID_INFO_MEM)
		printf("%10llu", record->rss / 1024);
	else
		printf("%10s", "-");
	printf(" %9llu.%02llu ", hundredths / 100, hundredths % 100);
	if ((record->filled & PID_INFO_CMDLINE) && record->cmdline.size) {
		put_words(&record->cmdline, start);
	} else {
		putchar('[');
		put_string(&record->name, start);
		putchar(']');
	}
	putchar('\n');
}

static int show_many(pid_t pid, unsigned int how, __u64 wanted)
{
	struct pid_info request = { .wanted = wanted };
	const char *id = how & PID_INFO_THREAD ? "TID" : "PID";
	bool headed = false;
	long count;

	while ((count = get_pid_info(pid, &request, how | PID_INFO_MANY))) {
		const char *at = buffer;

		if (count < 0 && errno == ENOSPC) {
			make_room(request.buffer_needed);
			continue;
		}
		if (count < 0)
			return failed(pid);
		if (!headed)
			printf("%7s %7s %10s S %5s %10s %12s COMMAND\n", id,
			       "PPID", "EUID", "NLWP", "RSS", "TIME");
		headed = true;
		while (count--) {
			const struct pid_info *record = (const void *)at;

			put_line(record);
			at += record->size;
		}
	}
	return 0;
}

static int usage(FILE *to)
{
	fputs("usage: pidinfo PID...          all that there is to know of each\n"
	      "       pidinfo --all           a line for each process\n"
	      "       pidinfo --threads PID   a line for each thread of a process\n"
	      "       pidinfo --help          this\n"
	      "exit status: 0 done, 1 no such process, 2 wrong usage,\n"
	      "3 this kernel has no get_pid_info(2), 4 not permitted or failed\n",
	      to);
	return STATUS_USAGE;
}

/* The PID that @text is, 0 if it is none. */
static pid_t to_pid(const char *text)
{
	char *end;
	long pid;

	errno = 0;
	pid = strtol(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && !errno && pid <= INT_MAX && pid)
		return pid;
	fputs("pidinfo: no PID: ", stderr);
	put_escaped(stderr, text, strlen(text));
	putc('\n', stderr);
	return 0;
}

static int show_each(char **pids)
{
	int status = 0;

	for (char **pid = pids; *pid; pid++)
		if (!to_pid(*pid))
			return STATUS_USAGE;
	for (char **pid = pids; *pid; pid++) {
		int one = show_one(to_pid(*pid));

		if (one > status)
			status = one;
		if (one == STATUS_NO_CALL)
			break;
	}
	return status;
}

/* The status, if all of the output was taken. */
static int finish(int status)
{
	if (!fclose(stdout))
		return status;
	perror("pidinfo: stdout");
	return STATUS_FAILED;
}

int main(int argc, char *argv[])
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "threads", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	const __u64 line = PID_INFO_CREDS | PID_INFO_TIMES | PID_INFO_MEM | PID_INFO_NAME;
	bool all = false;
	pid_t process = 0;
	int option, status, pids;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'a') {
			all = true;
		} else if (option == 't') {
			process = to_pid(optarg);
			if (!process)
				return STATUS_USAGE;
		} else if (option == 'h') {
			usage(stdout);
			return finish(0);
		} else {
			return usage(stderr);
		}
	}
	/* One of the three, and nothing else. */
	pids = argc - optind;
	if (all + !!process + !!pids != 1)
		return usage(stderr);

	make_room(256 * 1024);
	if (all)
		status = show_many(0, 0, line | PID_INFO_CMDLINE);
	else if (process)
		status = show_many(process, PID_INFO_THREAD, line);
	else
		status = show_each(argv + optind);
	free(buffer);
	return finish(status);
}
