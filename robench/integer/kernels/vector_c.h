/* Sixteen s32 lanes in plain C; weights are widened and kept lane by lane, which compilers vectorise. */
typedef int16_t ISA(weight);
typedef struct { int32_t v[16]; } ISA(vec);
typedef const uint8_t *ISA(act);
typedef const int16_t *ISA(taps);

static void ISA(widen)(int16_t *out, const int8_t *w, size_t n) {
    for (size_t g = 0; g < n; g += 64)
        for (int o = 0; o < 16; o++)
            for (int k = 0; k < 4; k++) out[g + k * 16 + o] = w[g + o * 4 + k];
}
INLINE ISA(vec) ISA(load)(const int32_t *p) {
    ISA(vec) r;
    memcpy(&r, p, sizeof r);
    return r;
}
INLINE ISA(act) ISA(broadcast)(const uint8_t *p) { return p; }
INLINE ISA(taps) ISA(load_taps)(const ISA(weight) *p) { return p; }
INLINE ISA(vec) ISA(dot)(ISA(vec) acc, ISA(act) a, ISA(taps) w) {
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < 16; i++) acc.v[i] += (int16_t)a[k] * w[k * 16 + i];
    return acc;
}
INLINE ISA(vec) ISA(requant)(ISA(vec) v, const int32_t *multiplier, int shift, int32_t zero_point) {
    for (int i = 0; i < 16; i++)
        v.v[i] = (int32_t)(((int64_t)v.v[i] * multiplier[i] + ((int64_t)1 << (shift - 1))) >> shift) + zero_point;
    return v;
}
INLINE ISA(vec) ISA(add)(ISA(vec) v, const uint8_t *res, const Layer *l) {
    for (int i = 0; i < 16; i++)
        v.v[i] = (u8(v.v[i]) * l->multiplier_a + res[i] * l->multiplier_b + l->add_bias) >> l->add_shift;
    return v;
}
INLINE void ISA(store)(uint8_t *p, ISA(vec) v) {
    for (int i = 0; i < 16; i++) p[i] = u8(v.v[i]);
}
INLINE void ISA(store_wide)(int32_t *p, ISA(vec) v) { memcpy(p, &v, sizeof v); }
