// SPDX-License-Identifier: GPL-2.0
/*
 * use CGROUP LIVES MILLISECONDS: processes that use CPU time, memory, files and turns of
 * the scheduler, in groups of several names:
 *
 *	LIVES children of a millisecond of CPU, every other of which execs use-short;
 *	AGAIN more with one PID, each started right after the one before was reaped, thus
 *	before the kernel has freed that one;
 *	use-first, which execs use-second after a while, the same by another thread than
 *	the first, and use-low, whose threads have ids below its own;
 *	use-fails, whose exec by another thread fails when it is too late to go back;
 *	use-threads, whose threads end for MILLISECONDS one after the other.
 *
 * All of that is in a new cgroup, CGROUP. It begins with the first byte of input. Each
 * child is reaped by this process, which prints before and after what the kernel says
 * that all of them and itself have used, and stays as it is until its input ends.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "roles.h"

#define PAGE		4096
#define FILE_BYTES	104729
#define AGAIN		61

#ifdef __x86_64__
#define MACHINE		EM_X86_64
#else
#define MACHINE		EM_AARCH64
#endif

struct io {
	unsigned long rchar, wchar, read_bytes, write_bytes;
};

static struct rusage children;
static struct io children_io;

static unsigned long nanoseconds(clockid_t clock)
{
	struct timespec now;

	CHECK(!clock_gettime(clock, &now));
	return now.tv_sec * 1000000000UL + now.tv_nsec;
}

/* On a CPU for so long, whatever else runs there. */
static void spin(clockid_t clock, unsigned int ms)
{
	unsigned long end = nanoseconds(clock) + ms * 1000000UL;

	while (nanoseconds(clock) < end)
		;
}

static void touch(unsigned int pages)
{
	char *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	CHECK(memory != MAP_FAILED);
	madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
	for (i = 0; i < pages; i++)
		memory[i * PAGE] = 1;
}

static void write_and_read(void)
{
	static char bytes[FILE_BYTES];
	int fd = open(".", O_TMPFILE | O_RDWR, 0600);

	CHECK(fd >= 0);
	CHECK(write(fd, bytes, sizeof(bytes)) == sizeof(bytes));
	CHECK(!lseek(fd, 0, SEEK_SET));
	CHECK(read(fd, bytes, sizeof(bytes)) == sizeof(bytes));
	close(fd);
}

static void sleep_shortly(void)
{
	struct timespec time = { .tv_nsec = 200000 };

	nanosleep(&time, NULL);
}

static void *work(void *unused)
{
	spin(CLOCK_THREAD_CPUTIME_ID, 1);
	touch(7);
	sleep_shortly();
	return unused;
}

static void run(const char *path)
{
	execl(path, path, NULL);
	CHECK(!"exec");
}

static void *run_second(void *unused)
{
	work(NULL);
	run(getenv("USE_SECOND"));
	return unused;
}

static pthread_t start(void *(*function)(void *))
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, function, NULL));
	return thread;
}

/* The program execs another, from its first thread or from another one. */
static int first(bool by_other)
{
	pthread_t threads[3];
	int i;

	spin(CLOCK_PROCESS_CPUTIME_ID, 7);
	touch(101);
	write_and_read();
	for (i = 0; i < 3; i++)
		threads[i] = start(work);
	if (!by_other)
		run_second(NULL);
	pthread_join(start(run_second), NULL);
	return threads[0] == threads[1];
}

static int second(void)
{
	spin(CLOCK_PROCESS_CPUTIME_ID, 5);
	touch(211);
	write_and_read();
	return 0;
}

/* The kernel finds that the segment has no place when the program before is gone. */
static void *exec_too_late(void *unused)
{
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr segment;
	} program = {
		.header = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				     EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = MACHINE,
			.e_version = EV_CURRENT,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1,
		},
		.segment = {
			.p_type = PT_LOAD,
			.p_flags = PF_R | PF_X,
			.p_vaddr = 1UL << 62,
			.p_filesz = sizeof(program),
			.p_memsz = sizeof(program),
		},
	};
	char *argv[] = { "use-late", NULL };
	int fd = memfd_create("use-late", 0);

	work(NULL);
	CHECK(fd >= 0 && write(fd, &program, sizeof(program)) == sizeof(program));
	syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
	CHECK(!"exec");
	return unused;
}

static int fails(void)
{
	struct rlimit none = {};

	CHECK(!setrlimit(RLIMIT_CORE, &none));
	spin(CLOCK_PROCESS_CPUTIME_ID, 7);
	touch(103);
	write_and_read();
	start(work);
	pthread_join(start(exec_too_late), NULL);
	return 0;
}

static void *low_work(void *unused)
{
	int i;

	for (i = 0; i < 11; i++)
		work(unused);
	return (void *)(long)(syscall(SYS_gettid) < getpid());
}

static int low(void)
{
	pthread_t threads[5];
	int found = 0, i;
	void *is_low;

	for (i = 0; i < 5; i++)
		threads[i] = start(low_work);
	spin(CLOCK_PROCESS_CPUTIME_ID, 20);
	for (i = 0; i < 5; i++) {
		CHECK(!pthread_join(threads[i], &is_low));
		found += !!is_low;
	}
	CHECK(found);
	return 0;
}

static int threads(unsigned int ms)
{
	unsigned long end = nanoseconds(CLOCK_MONOTONIC) + ms * 1000000UL;

	do {
		pthread_t one = start(work), other = start(work);

		CHECK(!pthread_join(one, NULL) && !pthread_join(other, NULL));
	} while (nanoseconds(CLOCK_MONOTONIC) < end);
	return 0;
}

/* Bytes that a process read and wrote, by the kernel's account; the length of that. */
static long add_io(const char *pid)
{
	static char text[512];
	const char *at = text;
	char path[64];
	long length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/io", pid);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	length = read(fd, text, sizeof(text) - 1);
	CHECK(length > 0);
	close(fd);
	text[length] = 0;
	children_io.rchar += strtoul(strstr(at, "rchar: ") + 7, NULL, 10);
	children_io.wchar += strtoul(strstr(at, "wchar: ") + 7, NULL, 10);
	at = strstr(at, "\nread_bytes: ");
	children_io.read_bytes += strtoul(at + 13, NULL, 10);
	at = strstr(at, "\nwrite_bytes: ");
	children_io.write_bytes += strtoul(at + 14, NULL, 10);
	return length;
}

static void add(struct rusage *sum, const struct rusage *more)
{
	sum->ru_minflt += more->ru_minflt;
	sum->ru_majflt += more->ru_majflt;
	sum->ru_nvcsw += more->ru_nvcsw;
	sum->ru_nivcsw += more->ru_nivcsw;
}

/* What a child used that is dead: its files before it is reaped, all else after. */
static void reap_one_that_got(pid_t pid, int signal)
{
	struct rusage used;
	siginfo_t info;
	char name[16];
	int status;

	CHECK(!waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	snprintf(name, sizeof(name), "%d", pid);
	add_io(name);
	CHECK(wait4(pid, &status, 0, &used) == pid && status == signal);
	add(&children, &used);
}

static void reap(pid_t pid)
{
	reap_one_that_got(pid, 0);
}

static pid_t child(const char *role)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid)
		run(role_path(role));
	return pid;
}

/* A child of that id, if it is not 0; one that is chosen does not change from where others are given out. */
static pid_t clone_as(pid_t id)
{
	struct clone_args args = { .exit_signal = SIGCHLD };

	args.set_tid = id ? (uintptr_t)&id : 0;
	args.set_tid_size = !!id;
	return syscall(SYS_clone3, &args, sizeof(args));
}

/* With an id that is higher than those of its threads will be. */
static pid_t high_child(const char *role)
{
	FILE *file = fopen("/proc/sys/kernel/pid_max", "r");
	pid_t id, pid;

	CHECK(file && fscanf(file, "%d", &id) == 1 && !fclose(file));
	do {
		pid = clone_as(--id);
	} while (pid < 0 && errno == EEXIST);
	CHECK(pid >= 0);
	if (!pid)
		run(role_path(role));
	return pid;
}

static void live_shortly(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		work(NULL);
		_exit(0);
	}
	reap(pid);
}

static void live_again(void)
{
	pid_t first = 0, pid;
	int i;

	for (i = 0; i < AGAIN; i++) {
		pid = clone_as(first);
		CHECK(pid >= 0);
		if (!pid) {
			touch(13);
			_exit(0);
		}
		CHECK(!first || pid == first);
		first = pid;
		reap(pid);
	}
}

static unsigned long cgroup_microseconds(const char *cgroup)
{
	unsigned long used = 0;
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/cpu.stat", cgroup);
	file = fopen(path, "r");
	CHECK(file && fscanf(file, "usage_usec %lu", &used) == 1);
	fclose(file);
	return used;
}

static void join(const char *cgroup)
{
	char path[256];
	FILE *file;

	CHECK(!mkdir(cgroup, 0700));
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	file = fopen(path, "w");
	CHECK(file && fprintf(file, "0") > 0 && !fclose(file));
}

/* All that was used so far; to tell it is part of that. */
static void tell(const char *cgroup)
{
	unsigned long cpu_us = cgroup_microseconds(cgroup);
	struct io told = children_io;
	static char text[1024];
	struct rusage used;
	int warm;

	children_io.rchar += add_io("self");
	/* What this takes of memory it has taken after the first time. */
	for (warm = 0; warm < 2; warm++) {
		memset(text, ' ', sizeof(text));
		memset(&used, 0, sizeof(used));
		getrusage(RUSAGE_SELF, &used);
		add(&used, &children);
		sprintf(text, "{\"cpu_us\": %lu, \"minor\": %ld, \"major\": %ld, "
			"\"voluntary\": %ld, \"involuntary\": %ld, \"rchar\": %lu, \"wchar\": %lu, "
			"\"read_bytes\": %lu, \"write_bytes\": %lu}", cpu_us,
			used.ru_minflt, used.ru_majflt, used.ru_nvcsw, used.ru_nivcsw,
			children_io.rchar, children_io.wchar + sizeof(text), children_io.read_bytes,
			children_io.write_bytes);
	}
	text[strlen(text)] = ' ';
	text[sizeof(text) - 1] = '\n';
	CHECK(write(1, text, sizeof(text)) == sizeof(text));
	children_io = told;
}

int main(int argc, char **argv)
{
	static const char * const roles[] = {
		"use-short", "use-first", "use-other", "use-second", "use-low", "use-threads",
		"use-fails",
	};
	const char *role = role_of(argv[0]);
	int lives, i;
	pid_t pid;
	char byte;

	if (!strcmp(role, "use-short"))
		return work(NULL) != NULL;
	if (!strcmp(role, "use-first") || !strcmp(role, "use-other"))
		return first(!strcmp(role, "use-other"));
	if (!strcmp(role, "use-second"))
		return second();
	if (!strcmp(role, "use-fails"))
		return fails();
	if (!strcmp(role, "use-low"))
		return low();
	if (!strcmp(role, "use-threads"))
		return threads(atoi(getenv("USE_MS")));
	CHECK(argc == 4);
	lives = atoi(argv[2]);
	CHECK(lives > 0 && !setenv("USE_MS", argv[3], 1));
	join(argv[1]);
	tell(argv[1]);
	CHECK(read(0, &byte, 1) == 1);
	for (i = 0; i < 7; i++)
		role_path(roles[i]);
	CHECK(!setenv("USE_SECOND", role_path("use-second"), 1));
	pid = child("use-threads");
	for (i = 0; i < lives; i++) {
		if (i % 2)
			live_shortly();
		else
			reap(child("use-short"));
	}
	live_again();
	for (i = 0; i < 13; i++) {
		reap(child("use-first"));
		reap(child("use-other"));
		reap_one_that_got(child("use-fails"), SIGSEGV);
	}
	for (i = 0; i < 3; i++)
		reap(high_child("use-low"));
	reap(pid);
	for (i = 0; i < 7; i++)
		forget_role(roles[i]);
	tell(argv[1]);
	CHECK(!read(0, &byte, 1));
	return 0;
}
