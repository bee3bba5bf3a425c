module examples

go 1.23

require zinit/clients/go v0.0.0

replace zinit/clients/go => ../../clients/go
