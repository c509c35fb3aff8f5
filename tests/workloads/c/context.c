// Exercises: the process context of OpenTelemetry (OTEP 4719), published by the text of that proposal and by no library.
//
//     context memfd|anonymous|late|updated [SECONDS]
//
// memfd      in a memfd, before `ready`
// anonymous  in shared memory that only its name tells of, before `ready`
// late       in a memfd, a second after `ready`
// updated    in a memfd before `ready`, and a second later by another payload, elsewhere
//
// Truth: how it is published, and whether that could be done here.
#define _GNU_SOURCE
#include "workload.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

struct header {
    char signature[8];
    uint32_t version;
    uint32_t payload_size;
    _Atomic uint64_t published_at_ns;
    const unsigned char *payload;
};

static unsigned char payloads[2][1024];

// A field of bytes: number and length fit into one byte each.
static size_t field(unsigned char *to, int number, const void *bytes, size_t length) {
    to[0] = (unsigned char)(number << 3 | 2);
    to[1] = (unsigned char)length;
    memcpy(to + 2, bytes, length);
    return length + 2;
}

// KeyValue{key=1, value=2}, and AnyValue{string_value=1} in it; as an attribute of a Resource, which is field 1.
static size_t attribute(unsigned char *to, const char *key, const char *value) {
    unsigned char any[128], pair[256];
    size_t any_length = field(any, 1, value, strlen(value));
    size_t length = field(pair, 1, key, strlen(key));
    length += field(pair + length, 2, any, any_length);
    return field(to, 1, pair, length);
}

// ProcessContext{resource=1}, whose length takes two bytes.
static size_t message(unsigned char *to, const char *service, const char *version) {
    unsigned char resource[1000];
    size_t length = attribute(resource, "service.name", service);
    length += attribute(resource + length, "service.version", version);
    length += attribute(resource + length, "deployment.environment.name", "testing");
    length += attribute(resource + length, "telemetry.sdk.language", "c");
    // What a reader sees for itself.
    length += attribute(resource + length, "process.pid", "1");
    length += attribute(resource + length, "container.id", "elsewhere");
    to[0] = 1 << 3 | 2;
    to[1] = (unsigned char)(length & 0x7F) | 0x80;
    to[2] = (unsigned char)(length >> 7);
    memcpy(to + 3, resource, length);
    return length + 3;
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static struct header *publish(int by_memfd) {
    size_t size = (size_t)getpagesize();
    struct header *header;
    if (by_memfd) {
        int fd = memfd_create("OTEL_CTX", MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, (off_t)size) != 0) return NULL;
        header = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        close(fd);
    } else {
        header = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    if (header == MAP_FAILED || madvise(header, size, MADV_DONTFORK) != 0) return NULL;
    header->version = 2;
    header->payload_size = (uint32_t)message(payloads[0], "published", "1.0");
    header->payload = payloads[0];
    header->published_at_ns = now();
    atomic_thread_fence(memory_order_seq_cst);
    memcpy(header->signature, "OTEL_CTX", 8);
    int named = prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, header, size, "OTEL_CTX") == 0;
    return named || by_memfd ? header : NULL;
}

static void update(struct header *header) {
    size_t length = message(payloads[1], "updated", "2.0");
    atomic_store(&header->published_at_ns, 0);
    atomic_thread_fence(memory_order_seq_cst);
    header->payload = payloads[1];
    header->payload_size = (uint32_t)length;
    atomic_thread_fence(memory_order_seq_cst);
    atomic_store(&header->published_at_ns, now());
    memset(payloads[0], 0xFF, sizeof payloads[0]);
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "memfd";
    workload_begin(argc > 2 ? argv[2] : NULL);
    int late = strcmp(how, "late") == 0, again = strcmp(how, "updated") == 0;
    struct header *header = late ? NULL : publish(strcmp(how, "anonymous") != 0);
    int done = late || header != NULL;
    workload_ready();
    uint64_t x = 0, begin = now();
    while (!stop_flag) {
        x += burn_turns(500000);
        if (now() - begin < 1000000000) continue;
        if (late) header = publish(1);
        if (again) update(header);
        late = again = 0;
    }
    printf("{\"how\": \"%s\", \"published\": %s, \"sum\": %llu}\n", how, done ? "true" : "false", (unsigned long long)x);
    return 0;
}
