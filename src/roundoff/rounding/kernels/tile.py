"""The inner loop of every product: a register tile of accumulators, built as LLVM IR.

A tile is `rows` output rows by `lanes` output columns. Its accumulators stay in vector
registers while k runs; nothing is ever summed across lanes, so each output is one chain
of operations in the order of k. Numba has no vector types, hence the IR. The rule
(`rules.py`) decides how one multiply-add is rounded; its type selects the code.

Random bits: a xoroshiro128+ generator (Blackman and Vigna 2018) of one 64-bit lane per
vector lane, seeded by the caller for each tile and stretch of k, fills a small buffer
for the next steps of k (`Blend`, `Flip`) or seeds the generator of the dither.
"""

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from roundoff.rounding.kernels.rules import (
    Blend,
    Coarse,
    Dithered,
    Flip,
    Plain,
    has_avx512,
)

_WIDE = has_avx512()
_BYTES = 64 if _WIDE else 32  # of a vector register
_WORDS = _BYTES // 8
STATE = 2 * _WORDS  # 64-bit words of generator state
# rows and lanes of the tall tile by operand size: what the registers can hold
_SHAPES = {4: (8, 48), 8: (4, 32)} if _WIDE else {4: (4, 16), 8: (2, 16)}

_I1, _I32, _I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
_RANDOM = ir.VectorType(_I64, _WORDS)
_ROUND_DOWN, _ROUND_UP = 9, 10  # embedded rounding of AVX-512, exceptions suppressed
_BLEND_STEPS = 16
_LAGS = 5, 2  # of the additive generator that feeds the dither, in steps of k


def tile_shape(dtype: np.dtype) -> tuple[int, int]:
    """Rows and lanes of the tall tile for packed operands of `dtype`."""
    return _SHAPES[np.dtype(dtype).itemsize]


# --- small helpers of IR --------------------------------------------------------------


def _splat(b: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    kind = ir.VectorType(value.type, lanes)
    first = b.insert_element(ir.Constant(kind, ir.Undefined), value, _I32(0))
    zeros = ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes)
    return b.shuffle_vector(first, first, zeros)


def _constant(number: int, kind: ir.VectorType) -> ir.Constant:
    return ir.Constant(kind, [number] * kind.count)


def _address(b: ir.IRBuilder, base: ir.Value, index: ir.Value, kind: ir.Type):
    """Address of element `index` of an array of `kind` at `base`."""
    return b.gep(b.bitcast(base, kind.as_pointer()), [index])


def _load(b: ir.IRBuilder, address: ir.Value, kind: ir.Type, align: int) -> ir.Value:
    value = b.load(b.bitcast(address, kind.as_pointer()))
    value.align = align
    return value


def _store(b: ir.IRBuilder, value: ir.Value, address: ir.Value, align: int) -> None:
    b.store(value, b.bitcast(address, value.type.as_pointer())).align = align


def _loop(
    b: ir.IRBuilder,
    stop: ir.Value,
    step: int,
    carried: list[ir.Value],
    body: Callable[[ir.Value, list[ir.Value]], list[ir.Value]],
) -> list[ir.Value]:
    """Emit `for i in range(0, stop, step)` (at least once), with carried values."""
    before, head = b.block, b.append_basic_block("loop")
    after = b.append_basic_block("after")
    b.branch(head)
    b.position_at_end(head)
    index = b.phi(_I64)
    index.add_incoming(_I64(0), before)
    phis = [b.phi(value.type) for value in carried]
    updated = body(index, list(phis))
    following = b.add(index, _I64(step))
    index.add_incoming(following, b.block)
    for phi, initial, final in zip(phis, carried, updated, strict=True):
        phi.add_incoming(initial, before)
        phi.add_incoming(final, b.block)
    b.cbranch(b.icmp_signed("<", following, stop), head, after)
    b.position_at_end(after)
    return updated


def _rotate(b: ir.IRBuilder, x: ir.Value, bits: int) -> ir.Value:
    left = b.shl(x, _constant(bits, _RANDOM))
    return b.or_(left, b.lshr(x, _constant(64 - bits, _RANDOM)))


def _xoroshiro(b: ir.IRBuilder, state: list[ir.Value]) -> tuple[ir.Value, list]:
    s0, s1 = state
    drawn, mixed = b.add(s0, s1), b.xor(s0, s1)
    shifted = b.shl(mixed, _constant(16, _RANDOM))
    s0 = b.xor(b.xor(_rotate(b, s0, 24), mixed), shifted)
    return drawn, [s0, _rotate(b, mixed, 37)]


# --- one rounded multiply-add, by rule ------------------------------------------------


class _PlainSteps:
    """acc <- fma(a, b, acc) in the thread's rounding direction."""

    steps = 1 << 40  # between two fillings of the buffer

    def __init__(self, b, vector, count, rule):
        self.b, self.vector, self.count, self.rule = b, vector, count, rule
        letter = "f32" if vector.element == ir.FloatType() else "f64"
        kind = ir.FunctionType(vector, [vector] * 3)
        name = f"llvm.fma.v{vector.count}{letter}"
        self.fma = cgutils.get_or_insert_function(b.module, kind, name)

    def fill(self, state):
        """Prepare the random bits of the next `steps` steps."""
        return state

    def finish(self, state):
        """Prepare the random bits of one last step."""
        return self.fill(state)

    def __call__(self, acc, a, b, number, k, state):
        """Return accumulator `number` after step k (counted from the last filling)."""
        return self.b.call(self.fma, [a, b, acc]), state


class _BufferedSteps(_PlainSteps):
    def __init__(self, b, vector, count, rule):
        super().__init__(b, vector, count, rule)
        self.fillings = -(-self.bytes_needed() // _BYTES)
        kind = ir.ArrayType(_RANDOM, self.fillings)
        self.buffer = cgutils.alloca_once(b, kind)
        self.buffer.align = 64

    def fill(self, state):
        for i in range(self.fillings):
            drawn, state = _xoroshiro(self.b, state)
            target = _address(self.b, self.buffer, _I64(i), _RANDOM)
            _store(self.b, drawn, target, 8)
        return state


class _BlendSteps(_BufferedSteps):
    """Round down and up by AVX-512's embedded rounding, blend by random bits."""

    steps = _BLEND_STEPS

    def __init__(self, b, vector, count, rule):
        super().__init__(b, vector, count, rule)
        suffix = "ps" if vector.element == ir.FloatType() else "pd"
        kind = ir.FunctionType(vector, [vector] * 3 + [_I32])
        name = f"llvm.x86.avx512.vfmadd.{suffix}.512"
        self.directed = cgutils.get_or_insert_function(b.module, kind, name)

    def bytes_needed(self):
        return self.count * self.steps * self.vector.count // 8

    def __call__(self, acc, a, b, number, k, state):
        bits = ir.IntType(self.vector.count)
        place = self.b.add(self.b.mul(k, _I64(self.count)), _I64(number))
        mask = _load(self.b, _address(self.b, self.buffer, place, bits), bits, 1)
        mask = self.b.bitcast(mask, ir.VectorType(_I1, self.vector.count))
        down = self.b.call(self.directed, [a, b, acc, _I32(_ROUND_DOWN)])
        up = self.b.call(self.directed, [a, b, acc, _I32(_ROUND_UP)])
        return self.b.select(mask, down, up), state


class _FlipSteps(_BufferedSteps):
    """Round-down hardware between two flips of a random sign."""

    steps = 32

    def __init__(self, b, vector, count, rule):
        super().__init__(b, vector, count, rule)
        bits = 32 if vector.element == ir.FloatType() else 64
        self.integers = ir.VectorType(ir.IntType(bits), vector.count)
        self.keep = _splat(b, b.trunc(rule[1], self.integers.element), vector.count)

    def bytes_needed(self):
        return self.count * _BYTES

    def flip(self, value, sign):
        flipped = self.b.xor(self.b.bitcast(value, self.integers), sign)
        return self.b.bitcast(flipped, self.vector)

    def __call__(self, acc, a, b, number, k, state):
        place = _address(self.b, self.buffer, _I64(number), _RANDOM)
        word = _load(self.b, place, self.integers, 8)
        by = _splat(self.b, self.b.trunc(k, self.integers.element), self.vector.count)
        sign = self.b.and_(self.b.shl(word, by), self.keep)
        operands = [self.flip(a, sign), b, self.flip(acc, sign)]
        return self.flip(self.b.call(self.fma, operands), sign), state


class _DitheredSteps(_BufferedSteps):
    """Float64 FMA, add random bits below the last float32 bit, truncate.

    One 64-bit word serves two accumulators. The words come from an additive lagged
    Fibonacci generator (Knuth, The Art of Computer Programming, 3.2.2): one addition a
    word, seeded by xoroshiro. Word i of step k is word i of step k - 5 plus word i + 1
    of step k - 2, so that no accumulator meets its own past in pairs.
    """

    steps = _PlainSteps.steps

    def __init__(self, b, vector, count, rule):
        super().__init__(b, vector, count, rule)
        self.words = count // 2
        self.mask = _splat(b, rule[1], vector.count)
        self.cleared = b.not_(self.mask)
        self.last_state = None
        self.second = None

    def bytes_needed(self):
        return _LAGS[0] * (self.count // 2) * _BYTES

    def finish(self, state):
        self.last_state = state
        return state

    def word_at(self, k, number):
        """Address of word `number` of step k in the ring."""
        slot = self.b.mul(self.b.urem(k, _I64(_LAGS[0])), _I64(self.words))
        return _address(self.b, self.buffer, self.b.add(slot, _I64(number)), _RANDOM)

    def draw(self, k, number):
        """Next word for the accumulators 2 * number and 2 * number + 1."""
        if self.last_state is not None:
            drawn, self.last_state = _xoroshiro(self.b, self.last_state)
            return drawn
        place = self.word_at(k, number)
        nearer = self.b.add(k, _I64(_LAGS[0] - _LAGS[1]))
        near = _load(
            self.b, self.word_at(nearer, (number + 1) % self.words), _RANDOM, 8
        )
        drawn = self.b.add(_load(self.b, place, _RANDOM, 8), near)
        _store(self.b, drawn, place, 8)
        return drawn

    def split(self, drawn):
        """Two random integers within the mask from one word."""
        first = self.b.lshr(drawn, _constant(35, _RANDOM))
        return first, self.b.and_(drawn, self.mask)

    def __call__(self, acc, a, b, number, k, state):
        if number % 2 == 0:
            noise, self.second = self.split(self.draw(k, number // 2))
        else:
            noise = self.second
        exact = self.b.bitcast(self.b.call(self.fma, [a, b, acc]), _RANDOM)
        kept = self.b.and_(self.b.add(exact, noise), self.cleared)
        return self.b.bitcast(kept, self.vector), state


class _CoarseSteps(_DitheredSteps):
    def __init__(self, b, vector, count, rule):
        super().__init__(b, vector, count, rule)
        self.shift = _splat(b, rule[2], vector.count)

    def split(self, drawn):
        halves = drawn, self.b.shl(drawn, _constant(32, _RANDOM))
        return tuple(
            self.b.and_(self.b.ashr(half, self.shift), self.mask) for half in halves
        )


_STEPS = {
    Plain: _PlainSteps,
    Blend: _BlendSteps,
    Flip: _FlipSteps,
    Dithered: _DitheredSteps,
    Coarse: _CoarseSteps,
}


# --- the tile -------------------------------------------------------------------------


class _Tile:
    """Emits the code of one tile: load, loop over k, optional final addition, store."""

    def __init__(self, b, steps, pointers, rows, lanes):
        self.b, self.steps, self.rows = b, steps, rows
        self.a, self.x, self.c, self.state = pointers
        self.vector, self.lanes = steps.vector, lanes
        self.columns = lanes // steps.vector.count

    def at(self, base, index, kind=None, align=None):
        element = self.vector.element
        size = 4 if element == ir.FloatType() else 8
        return _load(
            self.b, _address(self.b, base, index, element), kind or element, size
        )

    def vectors(self, base, row):
        """Load `lanes` consecutive elements of row `row`."""
        start = self.b.mul(row, _I64(self.lanes))
        wide = self.vector.count
        places = [self.b.add(start, _I64(wide * v)) for v in range(self.columns)]
        return [self.at(base, place, self.vector) for place in places]

    def emit(self, count, fresh):
        b, steps = self.b, self.steps
        held = [v for m in range(self.rows) for v in self.vectors(self.c, _I64(m))]
        zero = ir.Constant(self.vector, None)
        start = [b.select(fresh, zero, value) for value in held]
        words = [_address(b, self.state, _I64(i * _WORDS), _I64) for i in range(2)]
        state = [_load(b, word, _RANDOM, 8) for word in words]

        def stretch(k0, carried):
            state = steps.fill(carried[-2:])
            left = b.sub(count, k0)
            some = b.icmp_signed("<", left, _I64(steps.steps))
            todo = b.select(some, left, _I64(steps.steps))
            body = lambda k, values: self.step(b.add(k0, k), k, values)  # noqa: E731
            return _loop(b, todo, 1, carried[:-2] + state, body)

        carried = _loop(b, count, steps.steps, start + state, stretch)
        sums, state = self.add_to_held(held, carried[:-2], carried[-2:], fresh)
        self.store(sums, words, state)

    def step(self, k, number, values):
        """One step of k: multiply-add into every accumulator."""
        new, state = values[:-2], values[-2:]
        columns = self.vectors(self.x, k)
        first = self.b.mul(k, _I64(self.rows))
        for m in range(self.rows):
            scalar = self.at(self.a, self.b.add(first, _I64(m)))
            a = _splat(self.b, scalar, self.vector.count)
            for v, x in enumerate(columns):
                j = m * self.columns + v
                new[j], state = self.steps(new[j], a, x, j, number, state)
        return new + state

    def add_to_held(self, held, sums, state, fresh):
        """Add a fresh block to what C held, rounded: fma(1, sum, held)."""
        b = self.b
        state = self.steps.finish(state)
        one = ir.Constant(self.vector, [1.0] * self.vector.count)
        totals = []
        for j, (c, new) in enumerate(zip(held, sums, strict=True)):
            total, state = self.steps(c, new, one, j, _I64(0), state)
            totals.append(b.select(fresh, total, new))
        return totals, state

    def store(self, sums, words, state):
        size = 4 if self.vector.element == ir.FloatType() else 8
        for j, value in enumerate(sums):
            place = _I64(j * self.vector.count)
            target = _address(self.b, self.c, place, self.vector.element)
            _store(self.b, value, target, size)
        for word, value in zip(words, state, strict=True):
            _store(self.b, value, word, 8)


def _element(builder, context, kind, value, index):
    data = context.make_array(kind)(context, builder, value).data
    return builder.gep(data, [index])


def _make_tile(tall: bool) -> Callable:
    @intrinsic
    def tile(typingctx, a, a0, x, x0, c, c0, state, count, fresh, rule):
        """Multiply `count` packed steps into a tile of C.

        `a[a0 + k*rows + m]` and `x[x0 + k*lanes + l]` are the operands, `c[c0 + m*lanes
        + l]` the sums; `fresh` starts from zero and adds the result to C at the end.
        """
        steps_class = _STEPS[rule.instance_class]
        size = a.dtype.bitwidth // 8
        element = ir.FloatType() if size == 4 else ir.DoubleType()
        rows, lanes = _SHAPES[size]
        rows = rows if tall else 1
        vector = ir.VectorType(element, _BYTES // size)
        count_of_accumulators = rows * lanes // vector.count
        i64, flag = types.int64, types.boolean
        signature = types.void(a, i64, x, i64, c, i64, state, i64, flag, rule)

        def codegen(context, builder, signature, args):
            pairs = ((0, 1), (2, 3), (4, 5))
            pointers = [
                _element(builder, context, signature.args[i], args[i], args[j])
                for i, j in pairs
            ]
            pointers.append(
                _element(builder, context, signature.args[6], args[6], _I64(0))
            )
            fields = cgutils.unpack_tuple(builder, args[9])
            steps = steps_class(builder, vector, count_of_accumulators, fields)
            tile = _Tile(builder, steps, pointers, rows, lanes)
            fresh = builder.trunc(args[8], _I1)
            tile.emit(args[7], fresh)
            return context.get_dummy_value()

        return signature, codegen

    return tile


tall_tile = _make_tile(tall=True)
row_tile = _make_tile(tall=False)
