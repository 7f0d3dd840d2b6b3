/* From accumulators to what a layer stores: codes, codes of a residual sum, or logits. */
INLINE void ISA(finish)(ISA(vec) v, uint8_t *out, const uint8_t *res, const Layer *l, int channel, Geometry g) {
    v = ISA(requant)(v, l->multiplier + channel, g.shift, g.mode == LOGITS ? 0 : l->zero_point);
    if (g.mode == LOGITS) {
        ISA(store_wide)((int32_t *)out + channel, v);
        return;
    }
    if (g.mode == RESIDUAL) v = ISA(add)(v, res + channel, l);
    ISA(store)(out + channel, v);
}
