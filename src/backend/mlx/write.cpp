/* write.cpp -- rows written into a state where it lies.
 *
 * MLX has no values that change.  Its updates copy the whole array unless they can prove that nobody else holds it, and
 * as long as an earlier run is under way on the GPU, that run does.  A state is as large as the cache, so an operation of
 * our own writes into it.  That is right because runs are computed in their order, and because all that read the state
 * later read it through the result. */
#include "backend/mlx/kernels.h"

#include <mlx/backend/cpu/encoder.h>
#include <mlx/primitives.h>

#include <cstdio>
#include <cstring>

namespace {

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
        const mx::array &rows = in[1];
        static launch    both[2] = {variant("ushort"), variant("uint")};
        launch          &l = both[rows.itemsize() == 4];
        kernel_args      a = {};
        a.k = rows.shape(1);
        a.in_stride = static_cast<int32_t>(rows.strides(0));
        a.add_stride = static_cast<int32_t>(rows.strides(1));
        out[0].copy_shared_buffer(in[0]);
        l.args = &a;
        l.grid[0] = static_cast<uint32_t>(rows.shape(0));
        l.buffer = {{&out[0], 0, place::WRITTEN}, {&rows, 0, place::READ}, {&in[2], 0, place::READ}};
        kernel_launch(stream(), l, out[0]);
    }

private:
    static launch variant(const char *type)
    {
        return {"hearth_write", std::string("#define BF16 1\n#define SIMDS 4\n#define WRITE 1\n#define item_t ") + type + "\n", {}, nullptr,
                sizeof(kernel_args), {1, 1, 1}, 4};
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
    bool may = !b->gpu || kernels_here(b);
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
