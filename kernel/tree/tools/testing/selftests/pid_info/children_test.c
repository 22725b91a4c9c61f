// SPDX-License-Identifier: GPL-2.0
/*
 * get_pid_info(): children, those of all threads of a process or of one thread. The
 * witness is /proc/PID/task/TID/children.
 */
#include "pid_info_test.h"

#define MAX_CHILDREN	5003
#define MAX_THREADS	2003

static __s32 told[2 * MAX_CHILDREN], listed[2 * MAX_CHILDREN], made[MAX_CHILDREN];

static int ascending(const void *one, const void *other)
{
	__s32 a = *(const __s32 *)one, b = *(const __s32 *)other;

	return (a > b) - (a < b);
}

/* The children that the call tells of, ascending; fails if there was no room. */
static unsigned int tell(pid_t pid, unsigned int flags)
{
	struct pid_info info;
	unsigned int nr;

	must(!ask_into(pid, PID_INFO_CHILDREN, &info, flags, told, sizeof(told)));
	must(info.filled & PID_INFO_CHILDREN);
	must(info.children.offset == 0 && info.children.size % sizeof(*told) == 0);
	nr = info.children.size / sizeof(*told);
	qsort(told, nr, sizeof(*told), ascending);
	return nr;
}

/* Those that /proc lists for one thread of a process, behind the first @nr. */
static unsigned int list_thread(pid_t pid, pid_t tid, unsigned int nr)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, tid);
	file = fopen(path, "r");
	must(file);
	while (fscanf(file, "%d", &listed[nr]) == 1)
		nr++;
	fclose(file);
	return nr;
}

/* Those of all threads, ascending. */
static unsigned int list(pid_t pid)
{
	unsigned int nr = 0;
	struct dirent *entry;
	char path[32];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	must(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			nr = list_thread(pid, atoi(entry->d_name), nr);
	closedir(dir);
	qsort(listed, nr, sizeof(*listed), ascending);
	return nr;
}

static void end_children(unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		must(!kill(made[i], SIGKILL));
	for (i = 0; i < nr; i++)
		reap(made[i]);
}

/* Around the number that is looked at without letting go of the lock, and many. */
TEST(numbers)
{
	static const unsigned int numbers[] = { 0, 1, 2, 31, 32, 33, 63, 64, 65, 97, MAX_CHILDREN };
	unsigned int i, nr = 0;

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		for (; nr < numbers[i]; nr++) {
			made[nr] = spawn();
			if (!made[nr])
				doze();
		}
		EXPECT_EQ(nr, tell(getpid(), 0));
		EXPECT_EQ(nr, list(getpid()));
		EXPECT_EQ(0, memcmp(told, listed, nr * sizeof(*told)));
		EXPECT_EQ(nr, tell(getpid(), PID_INFO_THREAD));
		EXPECT_EQ(0, memcmp(told, listed, nr * sizeof(*told)));
	}
	end_children(nr);
}

/* Short room is told, and nothing is written behind it. */
TEST(room)
{
	enum { NR = 67 };
	unsigned int i, room;
	struct pid_info info;

	for (i = 0; i < NR; i++) {
		made[i] = spawn();
		if (!made[i])
			doze();
	}
	for (room = 0; room <= (NR + 1) * sizeof(*told); room += 2) {
		bool fits = room >= NR * sizeof(*told);

		memset(told, 0xff, sizeof(told));
		ASSERT_EQ(0, ask_into(getpid(), PID_INFO_CHILDREN, &info, 0, told, room));
		EXPECT_EQ(NR * sizeof(*told), info.children.size);
		EXPECT_EQ(fits ? 0 : PID_INFO_NO_ROOM, info.children.offset);
		EXPECT_EQ(ROUND_UP_8(NR * sizeof(*told)), info.buffer_needed);
		for (i = room / sizeof(*told); i < NR + 3; i++)
			EXPECT_EQ(-1, told[i]);
	}
	end_children(NR);
}

/* A thread with a child, as pthread_create() wants it. */
static void *parent_main(void *arg)
{
	pid_t *child = arg;

	*child = spawn();
	if (!*child)
		doze();
	shared->word[0]++;
	for (;;)
		pause();
	return NULL;
}

static void *idle_main(void *arg)
{
	shared->word[0]++;
	for (;;)
		pause();
	return arg;
}

/* Of every 97th thread there is a child, and one of the main thread. */
TEST(threads)
{
	pthread_attr_t attr;
	unsigned int nr;
	pid_t pid;

	shared->word[0] = 0;
	pid = spawn();
	if (!pid) {
		pthread_t thread;
		int i;

		must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
		made[0] = spawn();
		if (!made[0])
			doze();
		must(!pthread_attr_init(&attr));
		must(!pthread_attr_setstacksize(&attr, 128 << 10));
		for (i = 1; i < MAX_THREADS; i++)
			must(!pthread_create(&thread, &attr, i % 97 ? idle_main : parent_main,
					     &made[i]));
		until(shared->word[0] == MAX_THREADS - 1);
		shared->word[1] = 1;
		doze();
	}
	shared->word[1] = 0;
	until(shared->word[1] == 1);
	nr = tell(pid, 0);
	EXPECT_EQ(1 + (MAX_THREADS - 1) / 97, nr);
	EXPECT_EQ(nr, list(pid));
	EXPECT_EQ(0, memcmp(told, listed, nr * sizeof(*told)));
	EXPECT_EQ(1, tell(pid, PID_INFO_THREAD));
	EXPECT_EQ(list_thread(pid, pid, 0), 1);
	EXPECT_EQ(listed[0], told[0]);
	finish(pid);
}

/* A zombie is a child until it is reaped; an orphan is another's. */
TEST(zombies_and_orphans)
{
	struct pid_info info;
	pid_t pid;

	must(!prctl(PR_SET_CHILD_SUBREAPER, 1));
	pid = spawn();
	if (!pid) {
		shared->word[0] = spawn_doze();
		_exit(0);
	}
	await_zombie(pid);
	EXPECT_EQ(2, tell(getpid(), 0));
	EXPECT_EQ(pid < shared->word[0] ? pid : shared->word[0], told[0]);
	EXPECT_EQ(pid < shared->word[0] ? shared->word[0] : pid, told[1]);
	reap(pid);
	EXPECT_EQ(1, tell(getpid(), 0));
	EXPECT_EQ(shared->word[0], told[0]);
	EXPECT_EQ(0, ask(shared->word[0], 0, &info, 0));
	EXPECT_EQ(getpid(), info.ppid);
	finish(shared->word[0]);
}

/*
 * Beside those that come and go, each that stays is told exactly once, and none
 * twice.
 */
TEST(come_and_go)
{
	enum { STAY = 211, LOOKS = 1009 };
	unsigned int i, looks;
	pid_t pid;

	shared->word[0] = 0;
	pid = spawn();
	if (!pid) {
		must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
		for (i = 0; i < STAY; i++) {
			/* Among the passing ones, and so among their places. */
			pid_t passing = spawn();

			if (!passing)
				_exit(0);
			made[i] = spawn();
			if (!made[i])
				doze();
			reap(passing);
		}
		shared->word[0] = 1;
		for (;;) {
			pid_t passing[8];

			for (i = 0; i < ARRAY_SIZE(passing); i++) {
				passing[i] = spawn();
				if (!passing[i])
					_exit(0);
			}
			for (i = 0; i < ARRAY_SIZE(passing); i++)
				reap(passing[i]);
		}
	}
	until(shared->word[0] == 1);
	for (looks = 0; looks < LOOKS; looks++) {
		unsigned int nr = tell(pid, 0), at = 0, stay = 0;

		for (i = 1; i < nr; i++)
			EXPECT_NE(told[i - 1], told[i]);
		/* Those that stay are the first that it made. */
		if (!looks) {
			nr = list(pid);
			memcpy(made, listed, nr * sizeof(*made));
			must(nr >= STAY);
			continue;
		}
		for (i = 0; i < STAY; i++) {
			while (at < nr && told[at] < made[i])
				at++;
			stay += at < nr && told[at] == made[i];
		}
		EXPECT_EQ(STAY, stay);
	}
	finish(pid);
}

/* Children in a PID namespace below have an id here, too; above there is none. */
static void look_from_below(void)
{
	struct pid_info info;

	want(0, ask(0, 0, &info, 0));
	want(0, info.ppid);
	want(0, (long long)tell(0, 0));
	made[0] = spawn();
	if (!made[0])
		doze();
	want(1, (long long)tell(0, 0));
	want(made[0], told[0]);
	end_children(1);
}

TEST(namespaces)
{
	pid_t pid = spawn_in(CLONE_NEWPID);

	if (!pid)
		doze();
	EXPECT_EQ(1, tell(getpid(), 0));
	EXPECT_EQ(pid, told[0]);
	finish(pid);
	EXPECT_EQ(0, run_in(CLONE_NEWPID | CLONE_NEWNS, look_from_below));
}

int main(int argc, char **argv)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	setup();
	must(!setrlimit(RLIMIT_NPROC, &limit));
	return test_harness_run(argc, argv);
}
