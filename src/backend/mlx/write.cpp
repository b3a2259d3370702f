/* write.cpp -- rows written into a state where it lies.
 *
 * MLX has no values that change.  Its updates copy the whole array unless they can prove that nobody else holds it, and
 * as long as an earlier run is under way on the GPU, that run does.  A state is as large as the cache, so an operation of
 * our own writes into it.  That is right because runs are computed in their order, and because all that read the state
 * later read it through the result. */
#include "backend/mlx/mlx.h"

#include <mlx/backend/cpu/encoder.h>
#include <mlx/primitives.h>

#include <cstdio>
#include <cstring>

/* Metal's C++ headers come with MLX. */
#if defined(__APPLE__) && __has_include(<Metal/Metal.hpp>)
#define HAS_METAL 1
#include <mlx/backend/metal/device.h>
#include <mlx/backend/metal/metal.h>
#else
#define HAS_METAL 0
#endif

namespace {

#if HAS_METAL
/* Numbers are moved as bits: one kernel for each width of a number. */
const char *const source = R"(
#include <metal_stdlib>
using namespace metal;
template <typename T>
inline void write(device T *state, const device T *rows, const device int *slot, constant long *step, uint2 at)
{
    state[long(slot[at.y]) * step[0] + at.x] = rows[at.y * step[1] + at.x * step[2]];
}
[[kernel]] void hearth_write_2(device ushort *state [[buffer(0)]], const device ushort *rows [[buffer(1)]],
                               const device int *slot [[buffer(2)]], constant long *step [[buffer(3)]],
                               uint2 at [[thread_position_in_grid]]) { write(state, rows, slot, step, at); }
[[kernel]] void hearth_write_4(device uint *state [[buffer(0)]], const device uint *rows [[buffer(1)]],
                               const device int *slot [[buffer(2)]], constant long *step [[buffer(3)]],
                               uint2 at [[thread_position_in_grid]]) { write(state, rows, slot, step, at); }
)";
#endif

class Write : public mx::Primitive {
public:
    explicit Write(mx::Stream s) : mx::Primitive(s) {}

    const char *name() const override
    {
        return "HearthWrite";
    }

    void eval_cpu(const std::vector<mx::array> &in, std::vector<mx::array> &out) override
    {
        out[0].copy_shared_buffer(in[0]);
        const mx::array &rows = in[1];
        size_t      item = rows.itemsize();
        char       *state = out[0].data<char>();
        const char *from = rows.data<char>();
        const int  *slot = in[2].data<int>();
        int64_t     n = rows.shape(0), width = rows.shape(1), down = rows.strides(0), across = rows.strides(1);
        int64_t     piece = across == 1 ? width : 1;        /* numbers that lie side by side */
        auto        bytes = [item](int64_t numbers) { return static_cast<size_t>(numbers) * item; };
        mx::cpu::get_command_encoder(stream()).dispatch([=] {
            for (int64_t r = 0; r < n; r++)
                for (int64_t c = 0; c < width; c += piece)
                    std::memcpy(state + bytes(slot[r] * width + c), from + bytes(r * down + c * across), bytes(piece));
        });
    }

    void eval_gpu(const std::vector<mx::array> &in, std::vector<mx::array> &out) override
    {
#if HAS_METAL
        const mx::array &rows = in[1];
        out[0].copy_shared_buffer(in[0]);
        auto   &device = mx::metal::device(stream().device);
        auto   *library = device.get_library("hearth_write", [] { return std::string(source); });
        auto   *kernel = device.get_kernel(rows.itemsize() == 2 ? "hearth_write_2" : "hearth_write_4", library);
        auto   &encoder = mx::metal::get_command_encoder(stream());
        int64_t step[3] = {rows.shape(1), rows.strides(0), rows.strides(1)};
        auto    width = static_cast<NS::UInteger>(rows.shape(1)), n = static_cast<NS::UInteger>(rows.shape(0));
        encoder.set_compute_pipeline_state(kernel);
        encoder.set_output_array(out[0], 0);
        encoder.set_input_array(rows, 1);
        encoder.set_input_array(in[2], 2);
        encoder.set_bytes(step, 3, 3);
        encoder.dispatch_threads(MTL::Size(width, n, 1), MTL::Size(width < 256 ? width : 256, 1, 1));
#else
        (void)in;
        (void)out;
        throw std::runtime_error("writing in place has no kernel for this GPU");
#endif
    }
};

/* Two runs in a row, rows in disorder and with gaps between their numbers. */
bool tried(mx::Dtype type)
{
    mx::array state = mx::astype(mx::reshape(mx::arange(0, 24, mx::float32), {8, 3}), type);
    mx::array rows = mx::astype(mx::reshape(mx::arange(100, 118, mx::float32), {3, 6}), type);
    mx::array want = state;
    int       slots[2][3] = {{6, 0, 3}, {3, 7, 1}};
    mx::eval(state, rows);
    state = mx::add(state, mx::zeros_like(state));      /* a copy that may be written over */
    for (auto &s : slots) {
        mx::array slot(s, {3}, mx::int32), part = mx::slice(rows, {0, 2}, {3, 5});
        want = write_rows(want, part, slot, false);
        state = write_rows(state, part, slot, true);
        mx::async_eval(state, want);
    }
    return mx::array_equal(state, want).item<bool>();
}

} // namespace

mx::array write_rows(const mx::array &state, const mx::array &rows, const mx::array &slot, bool in_place)
{
    if (!in_place)
        return mx::scatter(state, slot, mx::expand_dims(rows, 1), 0);
    auto here = std::make_shared<Write>(mx::to_stream({}));
    return mx::array(state.shape(), state.dtype(), here, {state, rows, slot});
}

bool write_works(const struct backend *b)
{
#if HAS_METAL
    bool may = !b->gpu || mx::metal::is_available();
#else
    bool may = !b->gpu;
#endif
    if (!may)
        return false;
    try {
        if (tried(mx::float32) && tried(mx::bfloat16))
            return true;
        std::fprintf(stderr, "hearth: mlx: the kernel that writes in place is wrong on this GPU; MLX's own is used\n");
    } catch (const std::exception &x) {
        std::fprintf(stderr, "hearth: mlx: no kernel to write in place (%s); MLX's own is used\n", x.what());
    }
    return false;
}
