/* The network interface of votes.h on top of robench/integer's generated C. */
static int rb_variant(void) { return robench_isa(NULL); }

static void rb_prepare(int variant) {
    pthread_mutex_lock(&prepare_lock);
    isas[variant].prepare();
    pthread_mutex_unlock(&prepare_lock);
}

static void rb_labels(int variant, const int16_t *images, int n, uint8_t *scratch,
                      int32_t *labels) {
    int32_t logits[GROUP * CLASSES];
    label_group(&isas[variant], NULL, images, n, scratch, labels, logits);
}
