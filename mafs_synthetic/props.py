"""Textures of what stands still: trees, lamps, guardrails, cones and car stops."""

from __future__ import annotations

import cv2
from mafs_synthetic.config import CLASS_IDS, SceneConfig
from mafs_synthetic.sprite import Sprite
from mafs_synthetic.textures import fractal_noise, stack
import numpy as np


def tree(rng: np.random.Generator, config: SceneConfig) -> Sprite:
    """Build a street tree with a lumpy crown."""
    h, w = 240, 168
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    crown = 1.0 - ((x - w / 2) / (0.46 * w)) ** 2 - ((y - 0.36 * h) / (0.35 * h)) ** 2
    lumps = fractal_noise(rng, h, w, 44, 5)
    density = crown + 0.36 * lumps
    leaves = np.clip(density * 6, 0, 1) * (y < 0.82 * h)
    trunk = np.clip(5.5 - np.abs(x - w / 2 - 3 * np.sin(y / 35)), 0, 1) * (y > 0.35 * h)
    shade = 0.55 + 0.45 * np.clip(0.5 + 0.5 * lumps - (y / h - 0.3), 0, 1.2)
    grain = 1 + 0.25 * fractal_noise(rng, h, w, 5, 2)
    green = np.array((0.10, 0.15, 0.055)) * (shade * grain)[..., None]
    bark = np.array((0.10, 0.08, 0.06)) * grain[..., None]
    albedo = np.where(leaves[..., None] > 0.5, green, bark)
    temperature = config.ambient_k - 0.6 + 3 * config.daylight + 0.5 * lumps + 0.9 * (leaves < 0.5)
    alpha = np.round(255 * np.maximum(leaves, trunk)).astype(np.uint8)
    height = float(rng.uniform(5.5, 8.0))
    return Sprite(
        stack(np.clip(albedo, 0.01, 1), temperature),
        alpha,
        np.zeros((h, w), np.uint8),
        height * w / h,
        height,
    )


def lamp(config: SceneConfig, side: int, colour: np.ndarray, power: float) -> Sprite:
    """Build a street lamp whose arm reaches over the road; side is -1 (left) or 1."""
    scale, height, width = 30, 6.8, 4.0
    h, w = round(height * scale), round(width * scale)
    mask = np.zeros((h, w), np.uint8)
    foot, head = w // 2, round(w / 2 - side * 1.6 * scale)
    cv2.line(mask, (foot, h), (foot, 10), 255, 4, cv2.LINE_AA)
    cv2.line(mask, (foot, 10), (head, 5), 255, 3, cv2.LINE_AA)
    cv2.ellipse(mask, (head, 7), (11, 4), 0, 0, 360, 255, -1, cv2.LINE_AA)
    emission = np.zeros((h, w, 3), np.float32)
    shine = np.zeros((h, w), np.uint8)
    cv2.ellipse(shine, (head, 9), (9, 3), 0, 0, 180, 255, -1, cv2.LINE_AA)
    emission += (shine / 255.0)[..., None] * colour * min(power, 1.5) * 40
    temperature = np.full((h, w), config.ambient_k + 0.5) + (shine / 255.0) * 9 * min(1, power * 2)
    return Sprite(
        stack(np.full((h, w, 3), 0.2), temperature),
        mask,
        np.zeros((h, w), np.uint8),
        width,
        height,
        emission,
    )


def cone(config: SceneConfig) -> Sprite:
    """Build a traffic cone, orange with a white band."""
    h, w = 96, 64
    mask = np.zeros((h, w), np.uint8)
    body = np.array([(28, 2), (36, 2), (52, 88), (12, 88)])
    cv2.fillPoly(mask, [body], 255, cv2.LINE_AA)
    cv2.rectangle(mask, (4, 86), (60, 95), 255, -1)
    y, x = np.mgrid[0:h, 0:w]
    band = ((y > 30) & (y < 46)) | ((y > 58) & (y < 70))
    albedo = np.where(band[..., None], (0.75, 0.75, 0.72), (0.72, 0.19, 0.03))
    albedo = albedo * (1.05 - 0.5 * np.abs(x / w - 0.42))[..., None]
    temperature = np.full((h, w), config.ambient_k - 1.6) + 4 * config.daylight
    labels = np.full((h, w), CLASS_IDS['colour_cone'], np.uint8)
    return Sprite(stack(albedo, temperature), mask, labels, 0.5, 0.75)


def car_stop(config: SceneConfig) -> Sprite:
    """Build a parking barrier: a low concrete block with yellow stripes."""
    h, w = 40, 220
    mask = np.zeros((h, w), np.uint8)
    cv2.fillPoly(mask, [np.array([(10, 2), (w - 10, 2), (w, h), (0, h)])], 255, cv2.LINE_AA)
    y, x = np.mgrid[0:h, 0:w]
    stripe = ((x + y) % 56) < 24
    albedo = np.where(stripe[..., None], (0.62, 0.5, 0.08), (0.33, 0.33, 0.32))
    albedo = albedo * (1.1 - 0.5 * y / h)[..., None]
    temperature = config.ambient_k + 3.2 + 6 * config.daylight - 1.2 * y / h
    labels = np.full((h, w), CLASS_IDS['car_stop'], np.uint8)
    return Sprite(stack(albedo, temperature), mask, labels, 1.8, 0.34)


def guardrail(config: SceneConfig) -> Sprite:
    """Build four metres of steel rail on posts."""
    h, w = 48, 240
    y, x = np.mgrid[0:h, 0:w]
    rail = (y > 4) & (y < 27)
    post = (np.abs((x % 120) - 60) < 5) & (y >= 4)
    wave = np.abs(np.sin((y - 4) / 23 * np.pi * 2))
    albedo = np.where(rail, 0.30 + 0.22 * wave, 0.22)[..., None] * np.array((0.96, 1.0, 1.03))
    temperature = config.ambient_k - 3.4 + 5 * config.daylight + 0.8 * wave * rail
    mask = np.where(rail | post, 255, 0).astype(np.uint8)
    labels = np.full((h, w), CLASS_IDS['guardrail'], np.uint8)
    return Sprite(stack(albedo, temperature), mask, labels, 4.0, 0.8)
