/* bwd_nn.h: backward functions of ops_nn.def. */
#ifndef PC_GRAD_BWD_NN_H
#define PC_GRAD_BWD_NN_H

#include "grad/op.h"

pc_backward_fn pc_bwd_conv2d, pc_bwd_conv_transpose2d, pc_bwd_conv2d_weight;
pc_backward_fn pc_bwd_conv2d_relu, pc_bwd_conv_transpose2d_relu;
pc_backward_fn pc_bwd_layer_norm, pc_bwd_group_norm, pc_bwd_layer_norm_first, pc_bwd_layer_norm_second;
pc_backward_fn pc_bwd_attention, pc_bwd_slot_attention, pc_bwd_composite;
pc_backward_fn pc_bwd_mlp, pc_bwd_qkv, pc_bwd_squared_error;
pc_backward_fn pc_bwd_avg_pool2d, pc_bwd_avg_pool2d_adjoint, pc_bwd_max_pool2d, pc_bwd_max_pool2d_backward,
    pc_bwd_max_pool2d_take, pc_bwd_upsample, pc_bwd_upsample_adjoint;

#endif
