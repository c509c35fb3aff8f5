/*
 * A call chain that only .eh_frame describes: built with -O2 -fomit-frame-pointer -fno-ipa-ra, so rbp holds some number
 * or other and a walk by frame pointers finds none of it. Prints its own truth, root first, then burns CPU at the end of
 * the chain for good.
 */
#include <stdio.h>

static volatile unsigned long sink;

/* No inlining and no clones; no tail calls either, since each level still works on what it gets back. */
#define LEVEL __attribute__((noinline, noclone))

LEVEL unsigned long chain_leaf(unsigned long n)
{
    for (unsigned long i = 0; i < 100000000UL; i++)
        sink += i ^ n;
    return sink;
}

/* Saved registers and locals of different sizes, so each level has another CFA. */
LEVEL unsigned long chain_level_3(unsigned long n)
{
    volatile char room[3000];
    room[n % sizeof room] = 1;
    return chain_leaf(n + 1) + room[n % sizeof room];
}

LEVEL unsigned long chain_level_2(unsigned long a, unsigned long b, unsigned long c)
{
    unsigned long r = chain_level_3(a ^ b);
    return r * a + b * c;
}

LEVEL unsigned long chain_level_1(unsigned long n)
{
    return chain_level_2(n, n + 1, n + 2) + 1;
}

int main(void)
{
    puts("main;chain_level_1;chain_level_2;chain_level_3;chain_leaf");
    fflush(stdout);
    for (unsigned long n = 0;; n++)
        sink += chain_level_1(n);
}
