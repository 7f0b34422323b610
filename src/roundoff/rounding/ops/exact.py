"""Operators in which no rounding happens: they select, move, compare or create.

Names are those of the dispatcher without overload; in-place and `out=` variants of
the same name are covered too.
"""


def _names(text: str) -> list[str]:
    return text.split()


VIEWS = _names("""
view reshape _reshape_alias _reshape_copy _unsafe_view expand expand_as permute
transpose t numpy_T mT mH swapaxes swapdims movedim moveaxis slice select narrow split
split_with_sizes chunk tensor_split unsafe_split unsafe_split_with_sizes unsafe_chunk
hsplit vsplit dsplit unbind squeeze unsqueeze as_strided as_strided_scatter detach alias
diagonal unfold flatten unflatten ravel view_as reshape_as atleast_1d atleast_2d
atleast_3d broadcast_to broadcast_tensors positive lift lift_fresh lift_fresh_copy
set_data set resize resize_as
""")

COPIES = _names("""
clone contiguous cat concat concatenate stack hstack vstack dstack column_stack
row_stack constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d
replication_pad1d replication_pad2d replication_pad3d pad _pad_circular _pad_enum
index index_select gather take take_along_dim masked_select masked_fill where scatter
slice_scatter select_scatter diagonal_scatter index_fill index_copy _unsafe_index
_unsafe_masked_index masked_scatter roll flip fliplr flipud rot90 repeat
repeat_interleave tile tril triu diag diag_embed meshgrid pixel_shuffle
pixel_unshuffle channel_shuffle native_channel_shuffle im2col embedding fill zero
narrow_copy expand_copy permute_copy view_copy slice_copy select_copy squeeze_copy
unsqueeze_copy transpose_copy t_copy unbind_copy split_copy split_with_sizes_copy
as_strided_copy detach_copy alias_copy unfold_copy diagonal_copy one_hot block_diag
combinations cartesian_prod pin_memory nonzero nonzero_static nonzero_numpy argwhere
unique_dim _unique2 unique_consecutive _unique pad_sequence slice_backward
select_backward diagonal_backward
""")

SELECTION = _names("""
relu relu6 threshold threshold_backward clamp clamp_min clamp_max clip hardtanh
hardtanh_backward hardshrink hardshrink_backward max min amax amin aminmax maximum
minimum fmax fmin argmax argmin sort argsort msort topk kthvalue mode median nanmedian
cummax cummin _cummax_helper _cummin_helper max_pool1d_with_indices
max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool2d
adaptive_max_pool3d fractional_max_pool2d fractional_max_pool3d max_unpool2d
max_unpool3d abs absolute neg negative sign sgn signbit copysign floor ceil trunc
fix frac fmod nan_to_num heaviside frexp nextafter value_selecting_reduction_backward
""")

COMPARISONS = _names("""
eq ne lt le gt ge equal isnan isinf isfinite isposinf isneginf isreal is_nonzero
logical_and logical_or logical_xor logical_not bitwise_and bitwise_or bitwise_xor
bitwise_not bitwise_left_shift bitwise_right_shift all any not_equal less greater
less_equal greater_equal searchsorted bucketize isin is_same_size count_nonzero
bincount histc is_floating_point is_complex is_signed item _local_scalar_dense
size stride numel sym_size sym_stride sym_numel sym_storage_offset dim is_contiguous
""")

CREATION = _names("""
empty empty_like empty_strided empty_permuted new_empty new_empty_strided new_zeros
new_ones new_full zeros zeros_like ones ones_like full full_like eye scalar_tensor
tril_indices triu_indices arange linspace logspace range rand rand_like randn randn_like
randint randint_like randperm normal normal_functional uniform bernoulli random
exponential geometric cauchy log_normal multinomial poisson hann_window hamming_window
blackman_window bartlett_window kaiser_window _efficientzerotensor
""")

BOOKKEEPING = _names("""
_record_function_enter_new _record_function_enter _record_function_exit record_stream
_assert_async _assert_scalar sym_constrain_range _assert_tensor_metadata is_pinned
_pin_memory _has_compatible_shallow_copy_type _version is_leaf output_nr retains_grad
retain_grad requires_grad _conj _neg_view resolve_conj resolve_neg conj conj_physical
result_type can_cast
""")

EXACT = frozenset(VIEWS + COPIES + SELECTION + COMPARISONS + CREATION + BOOKKEEPING)

# Where only some overloads of a name are exact.
EXACT_OVERLOADS = frozenset(_names("aten.round.default"))
