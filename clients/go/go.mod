module zinit/clients/go

go 1.23
