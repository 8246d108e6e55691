"""`jsr.hlo_cost`: what is counted in the text of a compiled program."""

import jax.numpy as jnp
from jax import lax

from jsr import hlo_cost, parallel

# A sum of 4 + 2 * 6 numbers; a loop of five rounds with a gathering that starts and ends.
TEXT = """HloModule jit_run, is_scheduled=true

%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[] parameter(0)
  ROOT %sum = f32[] add(%x, %y)
}

%inside (p: f32[8]) -> f32[8] {
  ROOT %n = f32[8]{0} negate(%p), backend_config={"estimated_cycles":"99"}
}

%body (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %s = (f32[8]{0:T(128)S(1)}, bf16[64]{0}) all-gather-start(%p), dimensions={0}
  %d = bf16[64]{0} all-gather-done(%s)
  %f = f32[8]{0} fusion(%p), kind=kLoop, calls=%inside, backend_config={"estimated_cycles":"10"}
  ROOT %t = (s32[], f32[8]) tuple(%f)
}

%condition (p: (s32[], f32[8])) -> pred[] {
  ROOT %c = pred[] constant(true)
}

ENTRY %main (a: f32[4], b: bf16[2,6]) -> f32[8] {
  %r = (f32[4]{0:T(128)S(1)}, /*index=1*/bf16[2,6]{1,0}) all-reduce(%a, %b), to_apply=%add
  %w = (s32[], f32[8]) while(%r), condition=%condition, body=%body, \
backend_config={"known_trip_count":{"n":"5"}}
  ROOT %e = f32[8]{0} fusion(%w), kind=kLoop, calls=%inside, backend_config={"estimated_cycles":"7"}
}
"""


def test_loops_count_as_often_as_they_run_and_fusions_once():
    found = hlo_cost.count(TEXT)
    assert sorted(found.collectives) == [4 * 4 + 2 * 12] + [2 * 64 // 2] * 5
    assert found.cycles == 7 + 5 * 10


def test_a_loop_whose_rounds_stand_in_its_condition_alone():
    text = TEXT.replace('"known_trip_count":{"n":"5"}', "")
    assert hlo_cost.count(text).cycles == 7 + 10
    text = text.replace("pred[] constant(true)", "s32[]{:T(128)} constant(5), metadata={}")
    assert hlo_cost.count(text).cycles == 7 + 5 * 10


def test_the_sums_of_a_compiled_program():
    mesh = parallel.make_mesh()

    def run(_key, state, batches, _data):
        return lax.psum(state + batches.sum(), "batch"), lax.pmax(batches.sum(), "batch")

    shapes = (jnp.zeros(()), jnp.zeros((3, 5)), jnp.zeros((1, 8), jnp.uint8), {})
    program = parallel.compile_steps(run, mesh).lower(*shapes).compile()
    assert sorted(hlo_cost.count(program.as_text()).collectives) == [4, 60]


def test_a_gathering_and_a_sum_in_parts_are_one_sum():
    mesh = parallel.make_mesh()

    def run(_key, state, batches, _data):
        whole = lax.all_gather(state, "batch", tiled=True) + batches.sum()
        return lax.psum_scatter(whole, "batch", tiled=True), {}

    shapes = (jnp.zeros(()), jnp.zeros((8, 5)), jnp.zeros((1, 8), jnp.uint8), {})
    compiled = parallel.compile_steps(run, mesh, state_spec=parallel.SHARDS)
    found = hlo_cost.count(compiled.lower(*shapes).compile().as_text())
    assert sum(found.collectives) == 8 * 5 * 4
