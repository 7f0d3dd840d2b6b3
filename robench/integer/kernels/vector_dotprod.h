/* Sixteen s32 lanes in four NEON registers; s8 x s8 products by SDOT. Activations are multiplied less 128 (their
 * top bit flipped), which a bias of this instruction set's own makes up for. */
typedef int8_t ISA(weight);
typedef int32x4x4_t ISA(vec);
typedef int8x16_t ISA(act);
typedef const int8_t *ISA(taps);

static void ISA(centre)(int32_t *out, const int32_t *bias, const int8_t *w, int blocks, int block) {
    for (int c = 0; c < 16 * blocks; c++) {
        int32_t sum = 0;
        for (int k = 0; k < block; k += 64)
            for (int i = 0; i < 4; i++) sum += w[(size_t)(c / 16) * block + k + 4 * (c % 16) + i];
        out[c] = (int32_t)((uint32_t)bias[c] + 128u * (uint32_t)sum); /* sums wrap, and wrap back */
    }
}
INLINE ISA(act) ISA(broadcast)(const uint8_t *p) {
    uint32_t four;
    memcpy(&four, p, 4);
    return vreinterpretq_s8_u32(vdupq_n_u32(four ^ 0x80808080u));
}
INLINE ISA(taps) ISA(load_taps)(const ISA(weight) *p) { return p; }
INLINE ISA(vec) ISA(dot)(ISA(vec) acc, ISA(act) a, ISA(taps) w) {
    for (int i = 0; i < 4; i++) acc.val[i] = vdotq_s32(acc.val[i], vld1q_s8(w + 16 * i), a);
    return acc;
}
