"""What is known to keep nothing: functions, attributes, steps of bytecode; all else is not."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


OPERATIONS = _words(
    """
    abs acos adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool2d add addcdiv addcmul
    addmm affine_grid all allclose amax amin aminmax any arange argmax argmin argsort as_tensor
    asin atan atan2 avg_pool1d avg_pool2d baddbmm bernoulli bfloat16 bilinear bincount
    bitwise_and bitwise_not bitwise_or bitwise_xor bmm bool broadcast_to bucketize cat cdist
    ceil chunk clamp clamp_max clamp_min clip clone concat contiguous conv1d conv2d
    conv_transpose2d cos cosh cosine_similarity count count_nonzero cpu cross_entropy cummax
    cumprod cumsum detach diag diagonal diff dim div dot double dropout dropout1d dropout2d
    einsum elu embedding enable_grad eq equal erf erfc erfinv exp exp2 expand expand_as expm1
    eye fft fft2 fftn fftshift flatten flip float floor floor_divide fmod fold frac full
    full_like gather ge gelu glu greater greater_equal grid_sample group_norm gt gumbel_softmax
    half hardshrink hardsigmoid hardswish hardtanh heaviside histc ifft ifft2 ifftn ifftshift
    index index_select int interpolate irfft irfft2 is_floating_point is_grad_enabled isclose
    isfinite isinf isnan item kthvalue layer_norm le leaky_relu lerp less less_equal linear
    linspace log log10 log1p log2 log_softmax logaddexp logical_and logical_not logical_or
    logical_xor logit logsigmoid logspace logsumexp long lp_pool2d lt masked_fill masked_select
    matmul max max_pool1d max_pool2d maximum mean median meshgrid min minimum mish mm mode
    mse_loss mul multinomial mv nan_to_num narrow ne neg negative new_full new_ones new_tensor
    new_zeros nll_loss no_grad nonzero norm normal normalize not_equal numel one_hot ones
    ones_like outer pad pairwise_distance permute pixel_shuffle pixel_unshuffle poisson pow prod
    quantile rand rand_like randint randint_like randn randn_like randperm reciprocal relu relu6
    remainder repeat repeat_interleave reshape rfft rfft2 roll rot90 round rsqrt scatter
    scatter_add searchsorted select selu sgn sigmoid sign silu sin sinh size softmax softmin
    softplus softshrink softsign sort split sqrt square squeeze stack std std_mean sub sum
    swapaxes t take take_along_dim tan tanh tanhshrink tensor threshold tile to tolist topk
    transpose tril triu trunc type_as unbind unflatten unfold unique unsqueeze upsample var
    var_mean vector_norm view view_as where zeros zeros_like
    """
)
"""Functions of torch and methods of tensors, by any name that they go by.

None of those that leave memory as they find it (`empty`): they find what was there before.
"""
ATTRIBUTES = OPERATIONS | _words(
    """
    H T append apply children device dtype extend forward get imag indices is_leaf items keys mT
    mark_non_differentiable ndim needs_input_grad real requires_grad save_for_backward saved_tensors
    shape training values
    """
)
"""Attributes of what libraries make that may be read and called: what they change is looked at."""
ERRORS = (AssertionError, NotImplementedError, RuntimeError, TypeError, ValueError)
NUMBERS = (abs, bool, divmod, float, int, max, min, pow, round, sum)
LISTS = (all, any, dict, enumerate, len, list, map, range, reversed, set, slice, sorted, tuple, zip)
MODULES = {torch, nn, F, math, torch.fft, torch.linalg, torch.autograd}
"""Modules of which something may be read."""
LISTED = {
    *map(id, (*ERRORS, *NUMBERS, *LISTS, super, torch.autograd.grad)),
    *(id(one) for one in vars(math).values() if callable(one)),
    *(
        id(vars(space)[name])
        for space in (torch, F, torch.fft, torch.linalg)
        for name in OPERATIONS & vars(space).keys()
        if callable(vars(space)[name])
    ),
}
"""Functions by identity: another one may stand by the same name."""
STEPS = _words(
    """
    BEFORE_WITH BINARY_OP BINARY_SLICE BINARY_SUBSCR BUILD_CONST_KEY_MAP BUILD_LIST BUILD_MAP
    BUILD_SET BUILD_SLICE BUILD_TUPLE CACHE CALL CALL_FUNCTION_EX CALL_INTRINSIC_1 CALL_KW
    COMPARE_OP CONTAINS_OP COPY COPY_FREE_VARS DELETE_FAST DICT_MERGE DICT_UPDATE END_FOR
    EXTENDED_ARG FOR_ITER GET_ITER IS_OP JUMP_BACKWARD JUMP_BACKWARD_NO_INTERRUPT JUMP_FORWARD
    JUMP_IF_FALSE_OR_POP JUMP_IF_TRUE_OR_POP KW_NAMES LIST_APPEND LIST_EXTEND LIST_TO_TUPLE
    LOAD_ASSERTION_ERROR LOAD_ATTR LOAD_CLOSURE LOAD_COMMON_CONSTANT LOAD_CONST LOAD_DEREF
    LOAD_FAST LOAD_FAST_AND_CLEAR LOAD_FAST_BORROW LOAD_FAST_BORROW_LOAD_FAST_BORROW
    LOAD_FAST_CHECK LOAD_FAST_LOAD_FAST LOAD_GLOBAL LOAD_METHOD LOAD_SMALL_INT LOAD_SPECIAL
    LOAD_SUPER_ATTR MAKE_CELL MAKE_FUNCTION MAP_ADD NOP NOT_TAKEN POP_EXCEPT POP_ITER
    POP_JUMP_BACKWARD_IF_FALSE POP_JUMP_BACKWARD_IF_NONE POP_JUMP_BACKWARD_IF_NOT_NONE
    POP_JUMP_BACKWARD_IF_TRUE POP_JUMP_FORWARD_IF_FALSE POP_JUMP_FORWARD_IF_NONE
    POP_JUMP_FORWARD_IF_NOT_NONE POP_JUMP_FORWARD_IF_TRUE POP_JUMP_IF_FALSE POP_JUMP_IF_NONE
    POP_JUMP_IF_NOT_NONE POP_JUMP_IF_TRUE POP_TOP PRECALL PUSH_EXC_INFO PUSH_NULL RAISE_VARARGS
    RERAISE RESUME RETURN_CONST RETURN_GENERATOR RETURN_VALUE SET_ADD SET_FUNCTION_ATTRIBUTE
    SET_UPDATE STORE_DEREF STORE_FAST STORE_FAST_LOAD_FAST STORE_FAST_STORE_FAST STORE_SLICE
    STORE_SUBSCR SWAP TO_BOOL UNARY_INVERT UNARY_NEGATIVE UNARY_NOT UNARY_POSITIVE UNPACK_EX
    UNPACK_SEQUENCE WITH_EXCEPT_START YIELD_VALUE
    """
)
"""What bytecode may do, of any Python: no attribute, global or class is made, nothing imported or
matched."""
READS = {"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"}
BLOCKS = {"BEFORE_WITH", "LOAD_SPECIAL"}
