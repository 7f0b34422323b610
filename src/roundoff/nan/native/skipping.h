/* Shared by the C files of the skipping kernels: geometry, jobs, threads. */
#ifndef ROUNDOFF_SKIPPING_H
#define ROUNDOFF_SKIPPING_H

#include <stddef.h>
#include <stdint.h>

/* Channels-last float32 convolution; sizes per axis (depth, height, width). */
typedef struct {
    int64_t n, in[3], c, out[3], o;
    int64_t kernel[3], stride[3], dilation[3], pad[3];
    int64_t least;     /* smallest count of NaN that skips a window */
    int64_t fill_mean; /* 1: mean of the window's finite values, 0: zero */
    int64_t write_nan; /* 1: NaN is written to skipped outputs */
    int64_t threads;
} conv_shape;

/* What becomes of an output position. */
enum { CLEAN = 0, PACKED = 1, SKIPPED = 2, COPIED = 3, KEPT = 4 };

typedef struct {
    const conv_shape *shape;
    const float *x;
    const uint16_t *counts; /* NaN per input pixel, or NULL: none */
    const uint8_t *kind;    /* of every output position */
    const float *weight;    /* [blocks][kernel * c][block] */
    const float *bias;      /* [blocks * block] */
    const float *other;     /* maximum is taken with it, or NULL */
    const uint16_t *other_counts;
    const float *constant;  /* [classes][o]: outputs of windows of background, or NULL */
    const int32_t *classes; /* of every output position of a sample */
    float *out;
    uint16_t *out_counts;
} conv_job;

typedef struct {
    const conv_shape *shape;
    const uint16_t *counts;
    const uint8_t *same; /* 1 where an input pixel is background, or NULL */
    uint8_t *kind;
    int64_t totals[4];
} plan_job;

/* Pixels with channels last; an undefined pixel has counts == channels. */
typedef struct {
    int64_t channels;
    const float *a, *b;
    const uint16_t *a_counts, *b_counts;
    const float *slope;
    int64_t slopes; /* 1 or channels */
    float *out;
    uint16_t *out_counts;
} pixel_job;

typedef struct {
    int64_t in[3], out[3], kernel[3], stride[3], channels;
    int64_t max_threshold, aggressive, constant;
    float rtol, atol;
    const float *x;
    const uint16_t *counts;
    const uint8_t *cells_in;
    float *values;
    uint8_t *cells;
    uint16_t *out_counts;
} pool_job;

/* Runs work(job, first, last) over 0..count in chunks, on several threads. */
typedef void (*work_function)(void *job, int64_t first, int64_t last);
int run_chunks(work_function work, void *job, int64_t count, int64_t chunk,
               int64_t threads);

#endif
