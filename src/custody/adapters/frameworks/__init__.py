"""Machine-learning frameworks: conversion on the train side, inference on the run side; never training itself or pickle."""
