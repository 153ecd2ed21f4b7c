"""dump_vit.py: small Vision Transformers with random weights as timm and transformers name them, and their tokens.

python3 tests/golden/dump_vit.py, with torch, timm (1.0.15), transformers (4.48.3) and safetensors.
Writes tests/golden/vit/NAME.safetensors, the weights under the names of NAME's source, and
tests/golden/vit/tokens.safetensors: images "x/HxW" (B,H,W,3) in [0,1], tokens "NAME/HxW" (B,T,width); a position table
"table" (25,3) of a grid of 5 x 5 cells and, as DINO's code takes it to other grids, "offset/HxW" (HW,3).
The images are normalised as the source does for published weights of that kind. Half-precision files hold values that were
rounded before the tokens were computed.
"""
import os

import torch
from safetensors.torch import save_file
from timm.layers import get_act_layer
from timm.models.vision_transformer import VisionTransformer
from transformers import (CLIPVisionConfig, CLIPVisionModel, Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig,
                          Dinov2WithRegistersModel, IJepaConfig, IJepaModel, SiglipVisionConfig, SiglipVisionModel,
                          ViTConfig, ViTForImageClassification)

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vit")
SIZES = [(16, 16), (24, 20), (8, 12)]
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OPENAI = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def timm(**more):
    return VisionTransformer(img_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=2, mlp_ratio=2, num_classes=3,
                             dynamic_img_size=True, **more)


def hf(model, config, **more):
    return model(config(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=16,
                        patch_size=4, **more))


CASES = {  # name: (model, (mean, std), dtype of the file)
    "timm_dino": (lambda: timm(), IMAGENET, torch.float32),
    "timm_dinov2": (lambda: timm(init_values=1e-5), IMAGENET, torch.float32),
    "timm_dinov2_reg": (lambda: timm(init_values=1e-5, reg_tokens=4, no_embed_class=True), IMAGENET, torch.bfloat16),
    "timm_reg_embedded": (lambda: timm(reg_tokens=3), IMAGENET, torch.float16),
    "timm_ijepa": (lambda: timm(class_token=False, global_pool="avg", fc_norm=False), IMAGENET, torch.float32),
    "timm_clip": (lambda: timm(pre_norm=True, norm_layer=torch.nn.LayerNorm, act_layer=get_act_layer("quick_gelu")),
                  OPENAI, torch.float16),
    "timm_siglip": (lambda: timm(class_token=False, global_pool="map"), HALF, torch.float32),
    "hf_dino": (lambda: hf(ViTForImageClassification, ViTConfig), IMAGENET, torch.float32),
    "hf_dinov2": (lambda: hf(Dinov2Model, Dinov2Config, mlp_ratio=2), IMAGENET, torch.float32),
    "hf_dinov2_reg": (lambda: hf(Dinov2WithRegistersModel, Dinov2WithRegistersConfig, mlp_ratio=2), IMAGENET,
                      torch.float32),
    "hf_ijepa": (lambda: hf(IJepaModel, IJepaConfig), IMAGENET, torch.float32),
    "hf_clip": (lambda: hf(CLIPVisionModel, CLIPVisionConfig), OPENAI, torch.float32),
    "hf_siglip": (lambda: hf(SiglipVisionModel, SiglipVisionConfig), HALF, torch.bfloat16),
}


def randomise(model, dtype):
    for name, p in model.named_parameters():
        scale = 0.5 if p.ndim != 2 or "pos" in name else 1.5 / p.shape[1] ** 0.5
        value = torch.randn_like(p) * (0.15 if p.ndim == 1 else scale)
        if p.ndim == 1 and not name.endswith("bias") and "class_embedding" not in name:
            value += 1  # norms and layer scales
        p.copy_(value.to(dtype).to(torch.float32))


def tokens(model, x):
    if isinstance(model, VisionTransformer):
        return model.forward_features(x)
    if isinstance(model, ViTForImageClassification):
        return model.vit(x, interpolate_pos_encoding=True).last_hidden_state
    if isinstance(model, (Dinov2Model, Dinov2WithRegistersModel)):
        return model(x).last_hidden_state
    return model(x, interpolate_pos_encoding=True).last_hidden_state


def main():
    os.makedirs(FOLDER, exist_ok=True)
    torch.manual_seed(1)
    out = {"x/%dx%d" % s: torch.rand(1, s[0], s[1], 3) for s in SIZES}
    with torch.no_grad():
        for name, (make, (mean, std), dtype) in CASES.items():
            model = make().eval()
            randomise(model, dtype)
            for s in SIZES:
                x = (out["x/%dx%d" % s] - torch.tensor(mean)) / torch.tensor(std)
                out["%s/%dx%d" % (name, *s)] = tokens(model, x.permute(0, 3, 1, 2)).contiguous()
            state = {k: v.to(dtype) if v.is_floating_point() else v for k, v in model.state_dict().items()}
            save_file({k: v.contiguous() for k, v in state.items()}, os.path.join(FOLDER, name + ".safetensors"))
    out["table"] = torch.randn(25, 3)
    for h, w in [(3, 7), (8, 2)]:
        grid = out["table"].reshape(1, 5, 5, 3).permute(0, 3, 1, 2)
        grid = torch.nn.functional.interpolate(grid, scale_factor=((h + 0.1) / 5, (w + 0.1) / 5), mode="bicubic")
        out["offset/%dx%d" % (h, w)] = grid.permute(0, 2, 3, 1).reshape(h * w, 3)
    save_file({k: v.contiguous() for k, v in out.items()}, os.path.join(FOLDER, "tokens.safetensors"))


if __name__ == "__main__":
    main()
