// SPDX-License-Identifier: GPL-2.0
/*
 * get_pid_info() with PID_INFO_MANY: records of processes, and of threads.
 *
 * Most of it is looked at by the init of a new PID namespace, where nothing else
 * happens.
 */
#include "pid_info_test.h"

#define GUARD		0xa5
#define PROCESSES	211	/* that a test starts, in a namespace of their own */
#define THREADS		101	/* of one process */
#define MAX_IDS		1024
#define BUFFER_SIZE	(1024 * 1024)

static char buffer[BUFFER_SIZE];

/* What a sweep has found. */
static __s32 ids[MAX_IDS];
static unsigned int count, calls;

/* Whether nothing was written behind the @size bytes that the call was given. */
static bool guarded(unsigned int size)
{
	unsigned int end = size + 4096;

	if (end > sizeof(buffer))
		end = sizeof(buffer);
	while (size < end && (unsigned char)buffer[size] == GUARD)
		size++;
	return size == end;
}

/* Look at the places of a record's pieces: in the record, and none over another. */
static void want_pieces(struct pid_info *record, size_t struct_size)
{
	const struct pid_info_data *all[] = {
		&record->children, &record->root, &record->cwd, &record->exe,
		&record->cmdline, &record->name, &record->groups, &record->nspids,
	};
	unsigned int nr = struct_size < PID_INFO_SIZE_VER1 ? 3 : ARRAY_SIZE(all), i, j;

	for (i = 0; i < nr; i++) {
		if (all[i]->offset == PID_INFO_NO_ROOM || !all[i]->size)
			continue;
		want(0, all[i]->offset % 8);
		want(true, all[i]->offset >= struct_size);
		want(true, all[i]->offset + all[i]->size <= record->size);
		for (j = 0; j < i; j++)
			want(true, all[j]->offset == PID_INFO_NO_ROOM || !all[j]->size ||
			     all[j]->offset >= all[i]->offset + all[i]->size ||
			     all[i]->offset >= all[j]->offset + all[j]->size);
	}
}

/* Look at @nr records in the @size bytes of the buffer, and note their ids. */
static void take_records(unsigned int nr, __u64 wanted, size_t struct_size, unsigned int size)
{
	struct pid_info *record = (void *)buffer;
	unsigned int i, used = 0;

	for (i = 0; i < nr; i++, record = next_record(record)) {
		want(0, record->size % 8);
		must(record->size >= ROUND_UP_8(struct_size));
		used += record->size;
		must(used <= size);
		want(true, !mask_fault(record, wanted));
		want(0, stale_bytes_within(record, struct_size));
		want(0, record->buffer | record->match_inode | record->match_start_ns);
		want(0, record->buffer_size | record->string_max | (__u32)record->cursor);
		want_pieces(record, struct_size);
		/* Ascending, also from call to call: so none is there twice. */
		want(true, !count || ids[count - 1] < record->pid);
		must(count < MAX_IDS);
		ids[count++] = record->pid;
	}
}

/* Sweep over all with @size bytes of buffer for each call. */
static void sweep(pid_t pid, __u64 wanted, unsigned int flags, unsigned int size)
{
	struct pid_info request = {};
	__s32 cursor;
	int ret;

	count = 0;
	calls = 0;
	do {
		cursor = request.cursor;
		memset(buffer, GUARD, sizeof(buffer));
		ret = ask_many(pid, wanted, &request, flags, buffer, size);
		must(ret >= 0);
		want(true, guarded(size));
		take_records(ret, wanted, sizeof(request), size);
		if (ret)
			want(true, request.cursor > ids[count - 1]);
		want(true, ret ? request.cursor > cursor : request.cursor >= cursor);
		calls++;
	} while (ret);
}

/* Compare what was swept with the ids in the folder @path of /proc. */
static void want_listed(const char *path)
{
	static __s32 listed[MAX_IDS];
	unsigned int nr = list_ids(path, listed, MAX_IDS);

	want(nr, count);
	want(0, memcmp(listed, ids, count * sizeof(*ids)));
}

/* Of many kinds, among them zombies; and holes between their ids. */
static void spawn_processes(void)
{
	unsigned int i;

	for (i = 0; i < PROCESSES; i++) {
		spawn_gone();
		if (i % 7 == 3)
			spawn_zombie(i);
		else
			spawn_doze();
	}
}

/*
 * Processes
 */

static void look_at_processes(void)
{
	/* A record takes so much without pieces, and no more than so much with them. */
	const unsigned int bare = sizeof(struct pid_info), full = bare + 1024;
	unsigned int room;

	spawn_processes();
	sweep(0, 0, 0, sizeof(buffer));
	want(PROCESSES + 1, count);
	want(2, calls);
	want_listed("/proc");
	sweep(0, ~0ULL, 0, sizeof(buffer));
	want(PROCESSES + 1, count);
	want_listed("/proc");

	/* With room for 1, 2, 3 records, and a little more that is not used. */
	for (room = 1; room <= 3; room++) {
		sweep(0, ALL & ~PIECES, 0, room * bare);
		want((PROCESSES + room) / room + 1, calls);
		want_listed("/proc");
		sweep(0, ALL & ~PIECES, 0, room * bare + 999);
		want((PROCESSES + room) / room + 1, calls);
		want_listed("/proc");
		sweep(0, ALL & ~PID_INFO_CHILDREN, 0, room * full);
		want_listed("/proc");
	}
}

TEST(processes)
{
	EXPECT_EQ(0, run_in(CLONE_NEWPID | CLONE_NEWNS, look_at_processes));
}

/* From every cursor on, those that are not below it. */
static void look_from_cursors(void)
{
	struct pid_info request, *record = (void *)buffer;
	static __s32 listed[MAX_IDS];
	unsigned int nr, below = 0;
	__s32 cursor;
	int ret;

	spawn_processes();
	nr = list_ids("/proc", listed, MAX_IDS);
	for (cursor = 0; cursor <= listed[nr - 1] + 3; cursor++) {
		while (below < nr && listed[below] < cursor)
			below++;
		request.cursor = cursor;
		ret = ask_many(0, 0, &request, 0, buffer, sizeof(buffer));
		want(nr - below, ret);
		if (ret)
			want(listed[below], record->pid);
		want(true, request.cursor >= (ret ? listed[nr - 1] + 1 : cursor));
	}
	request.cursor = INT_MAX;
	want(0, ask_many(0, 0, &request, 0, buffer, sizeof(buffer)));
	want(true, request.cursor >= 0);
}

TEST(cursor)
{
	EXPECT_EQ(0, run_in(CLONE_NEWPID | CLONE_NEWNS, look_from_cursors));
}

/* Compare a record of many with a single answer, piece by piece. */
static void want_same(struct pid_info *record, unsigned int flags)
{
	static char pieces[65536];
	struct pid_info_data *data[] = {
		&record->children, &record->root, &record->cwd, &record->exe,
		&record->cmdline, &record->name, &record->groups, &record->nspids,
	};
	struct pid_info single;
	struct pid_info_data *others[] = {
		&single.children, &single.root, &single.cwd, &single.exe,
		&single.cmdline, &single.name, &single.groups, &single.nspids,
	};
	unsigned int i;

	must(!ask_into(record->pid, ALL, &single, flags, pieces, sizeof(pieces)));
	for (i = 0; i < ARRAY_SIZE(data); i++) {
		want(others[i]->size, data[i]->size);
		if (data[i]->size && data[i]->size == others[i]->size)
			want(0, memcmp(piece(record, *data[i]), piece(pieces, *others[i]),
				       data[i]->size));
	}

	/* What has to be the same is the rest of what both told. */
	want(single.filled, record->filled);
	want(single.denied, record->denied);
	want(single.supported, record->supported);
	want(single.flags, record->flags);
	want(true, record->age_ns <= single.age_ns);
	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		size_t start = groups[i].start;

		if (groups[i].bit & PIECES)
			continue;
		single.age_ns = record->age_ns;
		single.sigq_len = record->sigq_len;
		if (memcmp((char *)&single + start, (char *)record + start,
			   group_end(i) - start)) {
			fprintf(stderr, "# %d: group %llx differs\n", record->pid,
				groups[i].bit);
			shared->failures++;
		}
	}
}

static void look_at_contents(void)
{
	struct pid_info request = {}, *record = (void *)buffer;
	unsigned int zombies = 0, selves = 0;
	int nr, i;

	spawn_processes();
	nr = ask_many(0, ALL, &request, 0, buffer, sizeof(buffer));
	want(PROCESSES + 1, nr);
	for (i = 0; i < nr; i++, record = next_record(record)) {
		/* Of the one that looks some things have changed since. */
		if (record->pid == getpid()) {
			want(PROCESSES * sizeof(__s32), record->children.size);
			selves++;
			continue;
		}
		want_same(record, 0);
		zombies += record->state == 'Z';
		want(record->state == 'Z', !!(record->filled & PID_INFO_EXIT));
		want(record->state != 'Z', !!(record->filled & PID_INFO_MEM));
		want(getpid(), record->ppid);
	}
	want(1, selves);
	want(30, zombies);
}

/* A record tells of the same what a single call tells of it. */
TEST(contents)
{
	EXPECT_EQ(0, run_in(CLONE_NEWPID | CLONE_NEWNS, look_at_contents));
}

/*
 * The request
 */

/* Of the request only what is said in the header is written. */
TEST(request)
{
	struct pid_info request, before;

	memset(&request, 0xff, sizeof(request));
	request.wanted = ALL;
	request.buffer = (uintptr_t)buffer;
	request.buffer_size = sizeof(buffer);
	request.match_inode = 0;
	request.match_start_ns = 0;
	request.string_max = 77;
	request.cursor = 1;
	before = request;
	EXPECT_LT(1, get_pid_info(0, &request, sizeof(request), PID_INFO_MANY));
	EXPECT_LT(1, request.cursor);
	EXPECT_EQ(((struct pid_info *)buffer)->supported, request.supported);
	before.cursor = request.cursor;
	before.buffer_needed = request.buffer_needed;
	before.supported = request.supported;
	EXPECT_EQ(0, memcmp(&before, &request, sizeof(request)));
}

/* A record has the size that the caller knows, rounded up, and those groups. */
TEST(sizes)
{
	const size_t sizes[] = {
		PID_INFO_SIZE_VER0, PID_INFO_SIZE_VER0 + 1, PID_INFO_SIZE_VER0 + 8,
		PID_INFO_SIZE_VER1 - 9, PID_INFO_SIZE_VER1,
	};
	struct pid_info *record = (void *)buffer, whole;
	int failures = shared->failures;
	pid_t pid = spawn_doze();
	unsigned int i;

	EXPECT_EQ(0, ask(pid, ALL, &whole, 0));
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned char bytes[2 * PID_INFO_SIZE_VER1];
		struct pid_info *request = (void *)bytes;
		__u64 within = groups_within(sizes[i]);

		memset(buffer, GUARD, sizeof(buffer));
		memset(bytes, GUARD, sizeof(bytes));
		memset(bytes, 0, offsetof(struct pid_info, size));
		request->wanted = ALL;
		request->buffer = (uintptr_t)buffer;
		request->buffer_size = 2 * sizeof(*record) + 4096;
		request->cursor = pid;
		ASSERT_LE(1, get_pid_info(0, request, sizes[i], PID_INFO_MANY));
		EXPECT_EQ(pid, record->pid);
		EXPECT_EQ(whole.supported & within, request->supported);
		EXPECT_EQ(whole.supported & within, record->supported);
		EXPECT_EQ(LIVING & whole.supported & within, record->filled);
		count = 0;
		take_records(1, ALL, sizes[i], request->buffer_size);
		EXPECT_TRUE(guarded(request->buffer_size));
		/* Nothing behind the request: where GUARD was it still is. */
		EXPECT_EQ(GUARD, bytes[sizes[i]]);
		EXPECT_EQ(0, memcmp(bytes + sizes[i], bytes + sizes[i] + 1,
				    sizeof(bytes) - sizes[i] - 1));

		/* Without pieces nothing else is in there. */
		request->wanted = ALL & ~PIECES;
		request->cursor = pid;
		ASSERT_LE(1, get_pid_info(0, request, sizes[i], PID_INFO_MANY));
		EXPECT_EQ(ROUND_UP_8(sizes[i]), record->size);
	}
	EXPECT_EQ(failures, shared->failures);
	finish(pid);
}

static void look_at_room(void)
{
	const __u64 wanted[] = { 0, ALL };
	struct pid_info request, *record = (void *)buffer;
	unsigned int i, size, needed;
	pid_t pid = spawn_doze();

	for (i = 0; i < ARRAY_SIZE(wanted); i++) {
		request.cursor = pid;
		want(-ENOSPC, ask_many(0, wanted[i], &request, 0, buffer, 0));
		needed = request.buffer_needed;
		want(pid, request.cursor);
		want(0, needed % 8);
		want(true, needed >= sizeof(*record));
		want(!wanted[i], needed == sizeof(*record));
		for (size = 0; size < needed; size++) {
			memset(buffer, GUARD, needed + 4096);
			want(-ENOSPC, ask_many(0, wanted[i], &request, 0, buffer, size));
			want(needed, request.buffer_needed);
			want(pid, request.cursor);
			want(true, guarded(size));
		}
		memset(buffer, GUARD, sizeof(buffer));
		want(1, ask_many(0, wanted[i], &request, 0, buffer, needed));
		want(pid, record->pid);
		want(needed, record->size);
		want(pid + 1, request.cursor);
		want(true, guarded(needed));
		want_pieces(record, sizeof(*record));
		/* At the end there is nothing that could lack room. */
		want(0, ask_many(0, wanted[i], &request, 0, NULL, 0));
	}

	/* A string that is longer than it may be takes none of the room. */
	memset(&request, 0, sizeof(request));
	request.wanted = PID_INFO_NAME | PID_INFO_CMDLINE;
	request.buffer = (uintptr_t)buffer;
	request.string_max = 1;
	request.buffer_size = sizeof(*record);
	request.cursor = pid;
	want(1, get_pid_info(0, &request, sizeof(request), PID_INFO_MANY));
	want(request.wanted | PID_INFO_IDENT, record->filled);
	want(PID_INFO_NO_ROOM, record->name.offset);
	want(strlen(record->comm) + 1, record->name.size);
	want(PID_INFO_NO_ROOM, record->cmdline.offset);
	want(true, record->cmdline.size > 1);
	want(sizeof(*record), record->size);
}

/* Who has no room for one is told how much it takes, and that is enough. */
TEST(no_room)
{
	EXPECT_EQ(0, run_in(CLONE_NEWPID | CLONE_NEWNS, look_at_room));
}

TEST(refused)
{
	const int page = sysconf(_SC_PAGESIZE);
	struct pid_info request = {};
	pid_t gone = spawn_gone(), pid = spawn_doze();
	char *pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = pidfd_open(pid), i;

	/* Of whom: only of threads there is a choice. */
	EXPECT_EQ(-EINVAL, ask_many(pid, 0, &request, 0, buffer, sizeof(buffer)));
	EXPECT_EQ(-EINVAL, ask_many(1, 0, &request, 0, buffer, sizeof(buffer)));
	EXPECT_EQ(-EINVAL, ask_many(-1, 0, &request, 0, buffer, sizeof(buffer)));
	EXPECT_EQ(-EINVAL, ask_many(fd, 0, &request, PID_INFO_PIDFD, buffer, sizeof(buffer)));
	EXPECT_EQ(-EINVAL, ask_many(-1, 0, &request, PID_INFO_THREAD, buffer, sizeof(buffer)));
	EXPECT_EQ(-ESRCH, ask_many(gone, 0, &request, PID_INFO_THREAD, buffer, sizeof(buffer)));
	EXPECT_EQ(-ESRCH, ask_many(INT_MAX, 0, &request, PID_INFO_THREAD, buffer,
				   sizeof(buffer)));
	EXPECT_EQ(-EBADF, ask_many(-1, 0, &request, PID_INFO_THREAD | PID_INFO_PIDFD, buffer,
				   sizeof(buffer)));
	EXPECT_EQ(0, request.cursor);

	request.cursor = -1;
	EXPECT_EQ(-EINVAL, ask_many(0, 0, &request, 0, buffer, sizeof(buffer)));
	request.cursor = INT_MIN;
	EXPECT_EQ(-EINVAL, ask_many(0, 0, &request, 0, buffer, sizeof(buffer)));
	EXPECT_EQ(-EINVAL, ask_many(pid, 0, &request, PID_INFO_THREAD, buffer, sizeof(buffer)));
	request.cursor = 0;
	for (i = 1; i < 8; i++)
		EXPECT_EQ(-EINVAL, ask_many(0, 0, &request, 0, buffer + i,
					    sizeof(buffer) - 8));

	/* No identity can be that of many. */
	memset(&request, 0, sizeof(request));
	request.buffer = (uintptr_t)buffer;
	request.buffer_size = sizeof(buffer);
	EXPECT_LT(0, get_pid_info(0, &request, sizeof(request), PID_INFO_MANY));
	request.cursor = 0;
	request.match_start_ns = 1;
	EXPECT_EQ(-EINVAL, get_pid_info(0, &request, sizeof(request), PID_INFO_MANY));

	/* Memory that is not there, of the request, and of the records. */
	must(pages != MAP_FAILED);
	must(!mprotect(pages + 2 * page, page, PROT_NONE));
	EXPECT_EQ(-EFAULT, get_pid_info(0, NULL, sizeof(request), PID_INFO_MANY));
	request.cursor = 0;
	EXPECT_EQ(-EFAULT, ask_many(0, 0, &request, 0, NULL, 4096));
	EXPECT_EQ(-EFAULT, ask_many(0, 0, &request, 0, pages + 2 * page, page));
	EXPECT_EQ(-EFAULT, ask_many(0, 0, &request, 0, pages + 2 * page - 8, page));
	EXPECT_EQ(-EFAULT, ask_many(0, 0, &request, 0, (void *)-8L, 4096));
	/* What is there is enough for some: they are not lost. */
	EXPECT_EQ(0, request.cursor);
	EXPECT_EQ(1, ask_many(0, 0, &request, 0, pages + 2 * page - sizeof(request),
			      sizeof(request)));
	finish(pid);
	EXPECT_EQ(-ESRCH, ask_many(fd, 0, &request, PID_INFO_THREAD | PID_INFO_PIDFD, buffer,
				   sizeof(buffer)));
}

/* Where the inode can be asked for, it cannot of many. */
TEST(errors_of_inode)
{
	struct pid_info request = {
		.buffer = (uintptr_t)buffer, .buffer_size = sizeof(buffer), .match_inode = 1,
	}, info;

	EXPECT_EQ(0, ask(0, 0, &info, 0));
	EXPECT_EQ(info.supported & PID_INFO_INODE ? -EINVAL : -EOPNOTSUPP,
		  get_pid_info(0, &request, sizeof(request), PID_INFO_MANY));
}

/*
 * Threads
 */

static void *thread_main(void *unused)
{
	doze();
	return unused;
}

static pid_t spawn_threads(void)
{
	pid_t pid;

	shared->word[0] = 0;
	pid = spawn();
	if (!pid) {
		pthread_attr_t attr;
		pthread_t thread;
		int i;

		must(!pthread_attr_init(&attr));
		must(!pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN));
		for (i = 1; i < THREADS; i++)
			must(!pthread_create(&thread, &attr, thread_main, NULL));
		shared->word[0] = 1;
		doze();
	}
	until(shared->word[0] && state_of(pid) == 'S');
	return pid;
}

/* Wait until all threads of @pid sleep. */
static void await_sleep(pid_t pid)
{
	static __s32 listed[MAX_IDS];
	unsigned int nr, i;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	nr = list_ids(path, listed, MAX_IDS);
	must(nr == THREADS);
	for (i = 0; i < nr; i++) {
		struct stat_line line;
		int dir;

		snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, listed[i]);
		dir = open(path, O_RDONLY | O_DIRECTORY);
		must(dir >= 0);
		until(read_stat(dir, &line) && line.state == 'S');
		close(dir);
	}
}

static void look_at_threads(void)
{
	const unsigned int bare = sizeof(struct pid_info);
	struct pid_info request = {}, *record = (void *)buffer;
	pid_t before = spawn_doze(), pid = spawn_threads(), after = spawn_doze();
	pid_t other = spawn_threads(), zombie = spawn_zombie(0);
	unsigned int room;
	char path[64];
	int fd = pidfd_open(pid), nr, i;

	await_sleep(pid);
	await_sleep(other);
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	for (room = 1; room <= 3; room++) {
		sweep(pid, ALL & ~PIECES, PID_INFO_THREAD, room * bare);
		want(THREADS, count);
		want((THREADS + room - 1) / room + 1, calls);
		want_listed(path);
	}
	sweep(pid, ~0ULL, PID_INFO_THREAD, sizeof(buffer));
	want_listed(path);
	sweep(fd, ~0ULL, PID_INFO_THREAD | PID_INFO_PIDFD, sizeof(buffer));
	want(THREADS, count);
	want_listed(path);
	sweep(before, ALL, PID_INFO_THREAD, sizeof(buffer));
	want(1, count);
	want(before, ids[0]);
	sweep(zombie, ALL, PID_INFO_THREAD, sizeof(buffer));
	want(1, count);
	want(zombie, ids[0]);

	/* All threads of all, each of its process. */
	sweep(0, ALL & ~PIECES, PID_INFO_THREAD, sizeof(buffer));
	want(4 + 2 * THREADS, count);
	for (i = 0; i < (int)count; i++) {
		struct pid_info info;

		must(!ask(ids[i], 0, &info, PID_INFO_THREAD));
		if (ids[i] > pid && ids[i] < after)
			want(pid, info.tgid);
		else if (ids[i] > other && ids[i] < zombie)
			want(other, info.tgid);
		else
			want(ids[i], info.tgid);
	}
	/* Without the flag they are not there. */
	sweep(0, 0, 0, sizeof(buffer));
	want(6, count);
	want_listed("/proc");
	/* The id of one is not the process's. */
	want(-ESRCH, ask_many(pid + 1, 0, &request, PID_INFO_THREAD, buffer, sizeof(buffer)));

	request.cursor = 0;
	nr = ask_many(pid, ALL, &request, PID_INFO_THREAD, buffer, sizeof(buffer));
	want(THREADS, nr);
	for (i = 0; i < nr; i++, record = next_record(record)) {
		want(pid, record->tgid);
		want(THREADS, record->num_threads);
		want_same(record, PID_INFO_THREAD);
	}
}

TEST(threads)
{
	EXPECT_EQ(0, run_in(CLONE_NEWPID | CLONE_NEWNS, look_at_threads));
}

/*
 * Others come and go
 */

/* Who dies between the calls of a sweep is missing, and nobody else. */
static void look_while_they_die(void)
{
	static __s32 listed[MAX_IDS];
	struct pid_info request = {}, *record = (void *)buffer;
	unsigned int nr, next = 0, killed = 0;

	spawn_processes();
	nr = list_ids("/proc", listed, MAX_IDS);
	while (ask_many(0, ALL & ~PIECES, &request, 0, buffer, sizeof(*record)) == 1) {
		must(next < nr);
		want(listed[next], record->pid);
		next++;
		/* The one just told, or the one that would be next. */
		if (next % 3 == 1 && next > 1) {
			kill(listed[next - 1], SIGKILL);
			reap(listed[next - 1]);
			killed++;
		} else if (next % 3 == 2 && next < nr) {
			kill(listed[next], SIGKILL);
			reap(listed[next]);
			next++;
			killed++;
		}
	}
	want(nr, next);
	want(true, killed > PROCESSES / 3);
	sweep(0, ALL, 0, sizeof(buffer));
	want(nr - killed, count);
	want_listed("/proc");
}

TEST(deaths_between_calls)
{
	EXPECT_EQ(0, run_in(CLONE_NEWPID | CLONE_NEWNS, look_while_they_die));
}

int main(int argc, char **argv)
{
	setup();
	return test_harness_run(argc, argv);
}
